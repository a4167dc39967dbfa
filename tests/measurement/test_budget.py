"""Memory: told before it is taken, kept within bounds by several passes that change no score, and flat in images."""

import subprocess
import sys

import pytest
import torch
import torchvision
from torch import nn

import equiscope as es
from equiscope.measurement.budget import Budget, Pass, budgeted, size_in_words
from equiscope.measurement.findings import moments_of
from equiscope.measurement.layer_moments import Scratch
from equiscope.measurement.plan import families_of, planned
from test_laws import assert_same

ALL = ("invariance", "equivariance", "linear", "strict_invariance")
FAMILIES = [es.rotations(), es.shifts([1, 3])]


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 24, 3, padding=1), nn.ReLU(), nn.Conv2d(24, 16, 3, stride=2, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip


def images(count=30):
    return torch.randn(count, 3, 10, 10, generator=torch.Generator().manual_seed(1))


def plan_of(scoring, model=None, families=FAMILIES, layers=None, size=10):
    return planned(model or network(), (3, size, size), families_of(families), layers, scoring)


@pytest.mark.parametrize("count", [30, 10_000], ids=["float32", "float64"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"measures": ALL},
        {"measures": "invariance"},
        {"scopes": ("dataset", "image")},
        {"alignment": "registered"},
        {"alignment": "registered", "measures": ALL, "scopes": ("dataset", "image")},
    ],
    ids=str,
)
def test_what_is_told_is_what_the_accumulators_take(options, count):
    scoring = es.Scoring(**options)
    plan = plan_of(scoring)
    budget = budgeted(plan, scoring, count, None)
    (only,) = budget.passes
    offsets = (
        {"rot90": (0.5, 0.0), "rot180": (0.0, 1.0), "rot270": (0.25, 0.25)} if scoring.alignment != "array" else None
    )
    taken = 0
    for layer in plan.found.measured:
        actions = [one for one in only.actions if one.layer is layer]
        moments = moments_of(layer, actions, scoring, Scratch(), products=budget.products,
                             offsets=None if layer.vector else offsets)  # fmt: skip
        taken += sum(value.numel() * value.itemsize for value in moments.tensors().values())
    assert 0.9 * taken < budget.bytes < 1.1 * taken


@pytest.mark.filterwarnings("ignore:.*the edge of the search")
@pytest.mark.parametrize("alignment", ["array", "registered"])
def test_little_memory_takes_several_passes_and_gives_the_same_scores(alignment):
    scoring = es.Scoring(alignment=alignment, registration_images=8, scopes=("dataset", "image"), intervals=False)
    layers = ["1", "3", "5"]
    plain = es.measure(network(), images(38), FAMILIES, layers=layers, scoring=scoring)
    sums = plain.manifest["accumulators"]
    lean = es.measure(
        network(), images(38), FAMILIES, layers=layers, scoring=scoring, run=es.Run(memory=sums["bytes"] / 2**30 / 1.8)
    )
    assert sums["passes"] == 1 and lean.manifest["accumulators"]["passes"] > 1
    assert lean.manifest["accumulators"]["bytes"] <= sums["bytes"] / 1.8
    names = ["layer", "transformation", "measure", "scope", "alignment", "subpixel"]
    assert lean.scores[names].equals(plain.scores[names])
    assert_same(lean, plain)


def test_the_images_are_read_once_for_each_pass():
    class Counting(torch.utils.data.Dataset):
        read = 0

        def __len__(self):
            return 10

        def __getitem__(self, place):
            self.read += 1
            return images(10)[place]

    source = Counting()
    scores = es.measure(network(), source, es.shifts([1, 2, 3]), layers="1", run=es.Run(memory=1.2e-4))
    passes = scores.manifest["accumulators"]["passes"]
    assert passes == 3 and source.read <= 10 * passes + 32  # a batch is looked at first


def test_what_memory_cannot_bound_is_told():
    for size in (1e-6, 2e-5):
        with pytest.raises(ValueError, match=f"memory={size:g} GiB is too little: the accumulators of layer 0 alone"):
            budgeted(plan_of(es.Scoring()), es.Scoring(), 30, size)


def test_accumulators_take_half_of_what_is_free_unless_told_otherwise(monkeypatch):
    scoring = es.Scoring()
    plan = plan_of(scoring)
    needed = budgeted(plan, scoring, 30, None).bytes
    largest = max(budgeted(plan, scoring, 30, None, free=2 * needed // share).bytes for share in (2, 3))
    assert largest <= needed / 2 and len(budgeted(plan, scoring, 30, None, free=2 * needed).passes) == 1
    assert len(budgeted(plan, scoring, 30, needed / 2**30, free=needed).passes) == 1  # what is asked for counts
    with pytest.raises(
        ValueError, match=r"Memory does not do, of which .* are free: the accumulators of layer \d alone"
    ):
        budgeted(plan, scoring, 30, None, free=needed // 100)
    assert len(budgeted(plan, scoring, 30, None, free=needed, again=False).passes) == 1
    with pytest.raises(ValueError, match="and .* of memory are free; give images that can be gone over again"):
        budgeted(plan, scoring, 30, None, free=needed - 1, again=False)
    free = [needed]
    monkeypatch.setattr("equiscope.measurement.loop.free_for_each", lambda *_: free[0])
    plain, lean = (es.measure(network(), images(38), FAMILIES, run=es.Run(memory=memory)) for memory in (1, None))
    assert plain.manifest["accumulators"]["passes"] == 1 < lean.manifest["accumulators"]["passes"]
    assert_same(lean, plain)


def test_what_was_free_at_first_counts_for_a_run_that_goes_on(monkeypatch, tmp_path):
    free = [10**6]
    monkeypatch.setattr("equiscope.measurement.loop.free_for_each", lambda *_: free[0])
    options = {"checkpoint": tmp_path / "run", "checkpoint_every": 0}
    kept = es.measure(network(), images(38), FAMILIES, run=es.Run(**options, keep_checkpoint=True))
    passes = kept.manifest["accumulators"]["passes"]
    assert passes > 1
    free[0] = 10**9
    again = es.measure(network(), images(38), FAMILIES, run=es.Run(**options, resume=True))
    assert again.manifest["accumulators"]["passes"] == passes
    assert again.manifest["resumed_in_pass"] == passes
    assert_same(again, kept)


def test_a_pass_has_a_layers_permuting_transformations_together_and_bounded_bytes():
    """All blocks of ResNeXt-101 under eight shifts and three rotations, from shapes alone."""
    model = torchvision.models.resnext101_32x8d(weights=None)
    scoring = es.Scoring()
    families = [es.rotations(), es.shifts([1, 2, 3, 4, 5, 6, 7, 8])]
    plan = plan_of(scoring, model, families, "layer*.*", 64)
    whole, bounded = (budgeted(plan, scoring, 100, memory) for memory in (None, 2))
    assert len(whole.passes) == 1 and whole.bytes > 6 * 2**30
    assert bounded.bytes <= 2 * 2**30 < whole.bytes / (len(bounded.passes) - 1)
    actions = [(one.layer.name, one.transformation.name) for of_pass in bounded.passes for one in of_pass.actions]
    assert len(actions) == len(set(actions)) == 33 * 11
    for layer in plan.found.measured:
        rotated = [(layer.name, one.name) for one in es.rotations().transformations]
        passes = [of_pass for of_pass in bounded.passes for one in of_pass.actions
                  if (one.layer.name, one.transformation.name) in rotated]  # fmt: skip
        assert len(passes) == 3 and passes[0] is passes[1] is passes[2]
    assert budgeted(plan, scoring, 3000, None).bytes > 1.9 * whole.bytes  # in float64


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        (Budget((Pass(()),), torch.float32, 3 * 2**29, 1, 1), "need 1.50 GiB: 1 layer, 1 transformation."),
        (
            Budget((Pass(()),) * 2, torch.float32, 2**20, 3, 7),
            "need 1.0 MiB: 3 layers, 7 transformations, in 2 passes over",
        ),
    ],
)
def test_it_is_told_in_a_sentence(budget, words):
    assert words in budget.told()


def test_sizes_in_words():
    assert [size_in_words(size) for size in (2**30, 2**27, 2**19, 100)] == [
        "1.00 GiB",
        "0.12 GiB",
        "0.5 MiB",
        "0.1 KiB",
    ]


PEAK = """
import resource, torch, equiscope as es
network = torch.nn.Sequential(torch.nn.Conv2d(3, 32, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(32, 32, 3))
def peak(count):
    images = torch.randn(1, 3, 16, 16).expand(count, -1, -1, -1)
    scoring = es.Scoring(scopes=("dataset", "image"), intervals=False)
    es.measure(network, images, [es.rotations(), es.shifts([1])], scoring=scoring, batch_size=60)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
first = peak(120)
print(peak(600) - first)
"""


def test_memory_is_flat_in_the_number_of_images():
    run = subprocess.run([sys.executable, "-c", PEAK], check=True, capture_output=True)
    assert int(run.stdout) < 10 * 2**20  # 480 images more are 1.5 MiB, and their features 60
