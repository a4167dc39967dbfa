"""Orbits: networks whose channels are known to form cycles of four, or to stay, and partners made up by hand."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch

import equiscope as es
from equiscope.results.orbits import COLUMNS, ROTATIONS, orbits_of
from equiscope_studies.networks import cornered_network, gaussian_network
from example import example_scores, shuffled

NOISE = torch.randn(6, 3, 20, 20, generator=torch.Generator().manual_seed(0))


def cycles(table: pd.DataFrame, layer: str) -> list[list[int]]:
    rows = table[table["layer"] == layer]
    return [list(orbit["channel"]) for _, orbit in rows.groupby("orbit")]


def partners(*rotations: list[int | None]) -> pd.DataFrame:
    """A layer's channel table with these partners under 90, 180 and 270 degrees."""
    return pd.DataFrame(
        {
            "layer": "a", "scope": "dataset", "alignment": "array", "transformation": name, "channel": channel,
            "partner": partner, "equivariance": 0.5 + channel / 10,
        }
        for name, of in zip(ROTATIONS, rotations, strict=True)
        for channel, partner in enumerate(of)
    ).astype({"partner": "Int64"})  # fmt: skip


def test_channels_that_are_rotations_of_one_another_are_one_orbit() -> None:
    scores = es.measure(cornered_network(), NOISE, transformations=es.rotations())
    table = scores.orbits
    assert list(table.columns) == list(COLUMNS)
    assert all(cycles(table, layer) == [[0, 3, 2, 1]] for layer in ("layer1", "layer2", "layer3"))
    assert table["turn"].tolist() == [0, 1, 2, 3] * 3
    assert np.allclose(table["equivariance"], 1, atol=1e-5)


def test_an_isotropic_channel_is_an_orbit_of_its_own() -> None:
    scores = es.measure(gaussian_network(), NOISE, transformations=es.d4())
    assert all(cycles(scores.orbits, layer) == [[0], [1], [2], [3]] for layer in ("layer1", "layer2", "layer3"))


@pytest.mark.parametrize(
    ("once", "twice", "thrice", "found"),
    [
        ([1, 0, 2], [0, 1, 2], [1, 0, 2], [[0, 1], [2]]),
        ([1, 2, 3, 0], [2, 3, 0, 1], [3, 0, 1, 2], [[0, 1, 2, 3]]),
        ([1, 2, 3, 0], [2, 3, 0, 1], [3, 0, 1, 1], []),  # 270 degrees is not three times 90
        ([1, 2, 0], [2, 0, 1], [0, 1, 2], []),  # round in threes
        ([1, 1, 1], [1, 1, 1], [1, 1, 1], [[1]]),  # others lead to it, and are in no cycle
        ([None, 1], [None, 1], [None, 1], [[1]]),  # no partner
        ([0, None], [0, 0], [0, 0], [[0]]),
    ],
)
def test_only_cycles_of_one_two_or_four_on_which_all_rotations_agree(
    once: list[int | None], twice: list[int | None], thrice: list[int | None], found: list[list[int]]
) -> None:
    assert cycles(orbits_of(partners(once, twice, thrice)), "a") == found


def test_random_partners_against_the_definition() -> None:
    generator = np.random.default_rng(0)
    for _ in range(50):
        p90, p180, p270 = (list(map(int, generator.integers(0, 4, 4))) for _ in ROTATIONS)
        if generator.random() < 0.7:
            p90 = list(map(int, generator.permutation(4)))
            p180, p270 = [p90[p90[c]] for c in range(4)], [p90[p90[p90[c]]] for c in range(4)]
        expected = {
            frozenset(members)
            for size in (1, 2, 4)
            for members in itertools.permutations(range(4), size)
            if all(p90[one] == members[(place + 1) % size] for place, one in enumerate(members))
            and all(p180[one] == p90[p90[one]] and p270[one] == p90[p90[p90[one]]] for one in members)
        }
        assert {frozenset(cycle) for cycle in cycles(orbits_of(partners(p90, p180, p270)), "a")} == expected


def test_without_all_three_rotations_there_are_none() -> None:
    scores = example_scores(families={"some": ["rot90", "rot180"], "flips": ["hflip"]})
    assert scores.orbits.empty and list(scores.orbits.columns) == list(COLUMNS)


def test_the_order_of_rows_changes_no_orbit() -> None:
    scores = example_scores(alignments=("array", "registered"))
    keys = ["layer", "alignment", "orbit", "turn"]
    expected = scores.orbits.sort_values(keys, ignore_index=True)
    assert not expected.empty
    pd.testing.assert_frame_equal(shuffled(scores).orbits.sort_values(keys, ignore_index=True), expected)
