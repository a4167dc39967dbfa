"""The numbers of Figure 2 are those of their definitions."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from torch import nn

import equiscope as es
from equiscope_studies.mean_activation import numbers


def test_cosine_moves_with_the_mean_of_two_maps_and_correlation_does_not():
    table = pd.concat(numbers.maps(5))
    maps = table[table["panel"] == "maps"]
    first, second = (maps.loc[maps["map"] == name, "value"].to_numpy() for name in ("first", "second"))
    means = table[table["panel"] == "means"].pivot(index="mean", columns="similarity", values="value")
    for mean, row in means.iterrows():
        a, b = first + mean, second + mean
        assert row["pearson"] == pytest.approx(stats.pearsonr(a, b).statistic, abs=1e-5)
        assert row["cosine"] == pytest.approx(a @ b / np.sqrt(a @ a * (b @ b)), abs=1e-5)
    assert np.ptp(means["pearson"]) < 1e-5
    assert means.loc[0.5, "cosine"] - means.loc[0.0, "cosine"] > 0.6
    assert means.loc[0.0, "cosine"] == pytest.approx(means.loc[0.0, "pearson"], abs=1e-5)


def test_activations_are_means_over_everything_a_layer_puts_out_and_hooks_are_gone():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    images = torch.randn(70, 3, 6, 6)
    found = numbers.activations(network, images, ["0", "1"])
    for layer, output in (("0", network[0](images)), ("1", network(images))):
        row = found.set_index("layer").loc[layer]
        assert row["activation"] == pytest.approx(output.mean().item(), abs=1e-6)
        assert row["magnitude"] == pytest.approx(output.square().mean().sqrt().item(), abs=1e-6)
    assert not any(module._forward_hooks for module in network.modules())


def test_invariance_with_nothing_moved_is_the_strict_one():
    network, images = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU()), torch.randn(12, 3, 8, 8)
    measures = ("invariance", "strict_invariance")
    scoring = es.Scoring(measures=measures, intervals=False)
    table = es.measure(network, images, list(numbers.transformations()), scoring=scoring, progress=False).scores
    found = table.set_index(["layer", "transformation", "measure"])["score"].unstack("measure")
    strict, unmoved = (found.xs(name, level="transformation") for name in ("rot90", "unmoved"))
    assert unmoved["invariance"].to_numpy() == pytest.approx(strict["strict_invariance"].to_numpy(), abs=1e-5)


def test_correlation_and_its_interval_are_scipys():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, 21))
    expected = stats.pearsonr(x, y)
    low, high = expected.confidence_interval(0.95)
    found = numbers.correlation(x, y)
    assert list(found.values()) == pytest.approx([expected.statistic, low, high], abs=1e-4)
    narrow, wide = (numbers.interval(0.5, 21, fitted=fitted) for fitted in (0, 2))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_every_block_is_scored_and_related_to_its_activation(of_figure2):
    table, _ = of_figure2
    means = numbers.of_blocks(table, "activation")
    assert means["stage"].value_counts(sort=False).to_dict() == {"layer1": 3, "layer2": 3, "layer3": 3}
    for measure, scope in numbers.READINGS:
        followed = {}
        for similarity in ("cosine", "pearson"):
            scores = numbers.of_blocks(table, measure, scope, similarity)
            assert list(scores["layer"]) == list(means["layer"])
            assert scores["value"].between(0, 1).all()
            found = numbers.relation(table, "score", measure, scope, similarity)
            followed[similarity] = stats.pearsonr(means["value"], scores["value"]).statistic
            assert found["value"] == pytest.approx(followed[similarity])
            assert found["low"] < found["value"] < found["high"]
        difference = numbers.relation(table, "difference", measure, scope)
        assert difference["value"] == pytest.approx(followed["cosine"] - followed["pearson"])
    levels = table[table["panel"] == "blocks"].groupby("similarity")["chance"]
    assert levels.min()["cosine"] > 0.15 > levels.max()["pearson"]  # what cosine owes to the mean


def test_the_best_channel_of_the_same_images_scores_no_less(of_figure2):
    table, _ = of_figure2
    for similarity in ("cosine", "pearson"):
        for scope in ("dataset", "image"):
            best, held_out = (
                numbers.of_blocks(table, measure, scope, similarity)["value"].to_numpy()
                for measure in ("in-sample equivariance", "equivariance")
            )
            assert (best >= held_out - 1e-6).all()
