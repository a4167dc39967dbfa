"""The metric of torchmetrics: batches one at a time come to what `measure` finds on all of them in one."""

import copy
import itertools
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import equiscope as es
import oracle
from equiscope.measurement.recording import scale_of

torchmetrics = pytest.importorskip("torchmetrics")
from equiscope.integrations import torchmetrics_metric  # noqa: E402  (which needs torchmetrics)
from equiscope.integrations.torchmetrics_metric import EquivarianceMetric  # noqa: E402

FAMILIES = (es.rotations(), es.shifts([1]))
SIZES = (1, 5, 3, 11)  # images of the updates


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    ).train()


@pytest.fixture(scope="module")
def images():
    return torch.randn(sum(SIZES), 3, 10, 10, generator=torch.Generator().manual_seed(1))


def assert_as_measured(metric, model, images, **options):
    whole, found = es.measure(model, images, transformations=FAMILIES, **options), metric.scores()
    for table in ("scores", "parts", "channels", "replicates", "layers"):
        mine, theirs = getattr(found, table), getattr(whole, table)
        bounds = [column for column in mine if column.endswith(("low", "high"))]  # where the jackknife magnifies
        pd.testing.assert_frame_equal(mine[bounds], theirs[bounds], rtol=0, atol=1e-5)
        pd.testing.assert_frame_equal(mine.drop(columns=bounds), theirs.drop(columns=bounds), rtol=0, atol=2e-6)
    assert found.manifest["images"] == len(images)
    parts = whole.parts[whole.parts["transformation"].isin(whole.families)].set_index(
        ["measure", "transformation", "scope", "part"]
    )
    computed = metric.compute()
    for (measure, family, scope, part), row in parts.iterrows():
        for name, column in ((measure, "score"), (f"{measure}-corrected", "corrected")):
            value = computed[f"{name}/{family}/{scope}/{part}"].item()
            assert np.isclose(value, row[column], rtol=0, atol=2e-6, equal_nan=True)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"intervals": True, "similarity": "cosine", "strict": True, "negative": "keep"},
        {"layers": ["0"], "batch_size": 3},
    ],
)
def test_updates_come_to_what_is_measured_in_one(model, images, options):
    metric = EquivarianceMetric(FAMILIES, **options)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    for some in images.split(SIZES):
        metric.update(model, some)
    assert model.training and all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert_as_measured(metric, model, images, **({"intervals": False} | options))


def saved_and_loaded(metric):
    other = EquivarianceMetric(FAMILIES)
    metric.persistent(True)
    other.persistent(True)
    other.load_state_dict(metric.state_dict())
    return other


def computed(metric):
    metric.compute()
    return metric


BETWEEN = {
    "computed": computed,
    "cloned": lambda metric: metric.clone(),
    "pickled": lambda metric: pickle.loads(pickle.dumps(metric)),
    "moved": lambda metric: metric.to("cpu"),
    "saved and loaded": saved_and_loaded,
}


@pytest.mark.parametrize("between", BETWEEN.values(), ids=BETWEEN)
def test_whatever_is_done_between_updates_they_go_on(model, images, between):
    metric = EquivarianceMetric(FAMILIES)
    first, *others = images.split(SIZES)
    metric.update(model, first)
    for some in others:
        metric = between(metric)
        metric.update(model, some)
    assert_as_measured(metric, model, images, intervals=False)


def test_a_loaded_metric_needs_its_network_before_it_gives_scores(model, images):
    metric = EquivarianceMetric(FAMILIES)
    with pytest.raises(ValueError, match=r"^No image has been measured yet; call update\(model, images\) first"):
        metric.scores()
    metric.update(model, images[:8])
    loaded = saved_and_loaded(metric)
    with pytest.raises(ValueError, match=r"^The metric was loaded with 8 images and without their network; call upd"):
        loaded.scores()
    for given, message in (
        (images[:2, :, 1:, 1:], r"^Images of shape \[3, 9, 9\] came after"),
        (images, "weights are"),
    ):
        with pytest.raises(ValueError, match=message):
            loaded.update(trained_on(model), given)
    loaded.update(model, images[8:])
    assert_as_measured(loaded, model, images, intervals=False)


def trained_on(model):
    other = copy.deepcopy(model)
    other[5].bias.data[0] += 0.25
    return other


def without_last(model):
    return copy.deepcopy(model)[:5]


def of_other_stride(model):
    other = copy.deepcopy(model)
    other[0].stride = (2, 2)
    return other


OTHERS = {
    trained_on: "^The network's weights are not those that the images before were measured with; reset the metric",
    without_last: r"^The network has other layers than the one before: .* in place of 5 \(Linear, 3 channels of 1 x 1",
    of_other_stride: r"^The network has other layers than the one before: 0 \(Conv2d, 4 channels of 4 x 4 cells\) in "
    r"place of 0 \(Conv2d, 4 channels of 8 x 8 cells\); reset the metric before another network",
}


@pytest.mark.parametrize("other", OTHERS)
def test_another_network_is_refused_and_the_images_before_stay(model, images, other):
    metric = EquivarianceMetric(FAMILIES)
    metric.update(model, images[:8])
    with pytest.raises(ValueError, match=OTHERS[other]):
        metric.update(other(model), images[8:])
    metric.update(copy.deepcopy(model), images[8:])  # a copy is the same network
    assert_as_measured(metric, model, images, intervals=False)
    metric.reset()
    metric.update(other(model), images)
    assert_as_measured(metric, other(model), images, intervals=False)


def test_a_network_that_trains_on_is_refused_and_looking_for_that_is_cheap(model, images, monkeypatch):
    network, digests = copy.deepcopy(model), []
    digest = torchmetrics_metric.weights_digest
    monkeypatch.setattr(torchmetrics_metric, "weights_digest", lambda of: digests.append(of) or digest(of))
    metric = EquivarianceMetric(FAMILIES)
    for some in images[:16].split(4):
        metric.update(network, some)
    assert len(digests) == 1
    network(images).sum().backward()
    torch.optim.SGD(network.parameters(), lr=1e-3).step()
    with pytest.raises(ValueError, match="weights are not those"):
        metric.update(network, images[16:])
    assert metric.scores().manifest["images"] == 16


def test_inference_mode_may_come_and_go(model, images):
    metric = EquivarianceMetric(FAMILIES)
    for number, some in enumerate(images.split(SIZES)):
        with torch.inference_mode(number % 2 == 0):
            metric.update(model, some.clone())
        with torch.inference_mode(number % 2 == 1):
            metric.compute()
    assert_as_measured(metric, model, images, intervals=False)


def test_forward_gives_the_scores_of_its_batch_and_remembers_all(model, images):
    metric = EquivarianceMetric(FAMILIES, scope="dataset")
    for some in images.split(SIZES):
        of_batch = metric(model, some)
    last = EquivarianceMetric(FAMILIES, scope="dataset")
    last.update(model, some)
    assert {name.split("/")[2] for name in of_batch} == {"dataset"}
    for name, value in last.compute().items():
        assert torch.equal(value, of_batch[name]) or (value.isnan() and of_batch[name].isnan())
    whole = es.measure(model, images, transformations=FAMILIES, intervals=False)
    pd.testing.assert_frame_equal(metric.scores().scores, whole.scores, rtol=0, atol=2e-6)


def test_a_collection_shares_what_is_the_same_and_nothing_else(model, images):
    metrics = torchmetrics.MetricCollection(
        {
            "all": EquivarianceMetric(FAMILIES, layers="0", scope="dataset"),
            "image": EquivarianceMetric(FAMILIES, layers="0", scope="image"),
            "signed": EquivarianceMetric(FAMILIES, layers="0", scope="dataset", negative="keep"),
        },
        prefix="val_",
    )
    for _ in range(2):
        for some in images.split(SIZES):
            metrics.update(model, some)
        found = metrics.compute()
        assert sorted(len(group) for group in metrics.compute_groups.values()) == [1, 2]
        whole = es.measure(model, images, transformations=FAMILIES, layers="0", intervals=False)
        table = whole.table(by="part", scope="image", transformation="rotations").set_index("part")
        (name,) = (name for name in found if name.endswith("equivariance/rotations/image/early"))
        assert name.startswith("val_")
        assert found[name].item() == pytest.approx(table.loc["early", "equivariance"], abs=2e-6)
        metrics.reset()
    metrics.update(without_last(model), images)
    metrics.compute()
    manifests = [metric.scores().manifest for metric in metrics.values()]
    expected = es.measure(without_last(model), images, transformations=FAMILIES, layers="0", intervals=False).manifest
    assert [one["weights"] for one in manifests] == [expected["weights"]] * 3


def test_after_a_reset_all_is_new(model, images):
    metric = EquivarianceMetric(FAMILIES)
    metric.update(model, torch.randn(3, 3, 12, 12))
    with pytest.raises(
        ValueError, match=r"^Images of shape \[3, 10, 10\] came after images of \[3, 12, 12\]; all must"
    ):
        metric.update(model, images)
    assert metric.scores().manifest["images"] == 3
    metric.reset()
    metric.update(model, images)
    assert_as_measured(metric, model, images, intervals=False)
    with pytest.raises(ValueError, match=r"gives NaN, infinity .* for image 20 "):
        metric.update(model, torch.full((2, 3, 10, 10), torch.nan))
    with pytest.raises(ValueError, match="No image has been measured yet"):
        metric.scores()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scope": "images"}, "scope='images' is not known; it is one of dataset, image"),
        ({"similarity": "dot"}, "similarity='dot' is not known"),
        ({"batch_size": 0}, "batch_size=0 is not a positive whole number"),
        ({"size": 8}, 'size=8 is the window of fill="crop"'),
    ],
)
def test_options_are_checked_when_they_are_given(options, message):
    with pytest.raises(ValueError, match=message):
        EquivarianceMetric(FAMILIES, **options)


PROCESS = """
import sys, torch, torch.distributed as dist
from equiscope.integrations.torchmetrics_metric import EquivarianceMetric
rank, folder = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
found = []
for case in torch.load(f"{folder}/given.pt", weights_only=False):
    metric = EquivarianceMetric(case["families"], **case["options"][rank])
    try:
        *some, last = case["images"][rank].split(5) if len(case["images"][rank]) else [None]
        for few in some:
            metric.update(case["models"][rank], few)
        if case.get("computes"):
            metric.compute()
        if last is not None:
            metric.update(case["models"][rank], last)
        if rank and case.get("loaded"):
            other = EquivarianceMetric(case["families"], **case["options"][rank])
            metric.persistent(True), other.persistent(True)
            other.load_state_dict(metric.state_dict())
            metric = other
        found.append(metric.scores())
    except ValueError as error:
        found.append(str(error))
torch.save(found, f"{folder}/found{rank}.pt")
dist.destroy_process_group()
"""


def case(model, images, families=FAMILIES, *, others=None, other_model=None, **options):
    return {
        "families": families, "models": [model, other_model or model], "images": images,
        "options": [options, others or options],
    }  # fmt: skip


@pytest.fixture(scope="module")
def unlike():
    """The images of two processes: 13 of noise, and 11 that are coarse and brighter."""
    random = torch.Generator().manual_seed(2)
    coarse = nn.functional.interpolate(torch.rand(11, 3, 4, 4, generator=random), 10, mode="bilinear")
    return [torch.randn(13, 3, 10, 10, generator=random), 3 * coarse]


PLAIN = {"similarity": "pearson", "strict": False, "negative": "clip"}
OTHER = {"similarity": "cosine", "strict": True, "negative": "keep"}


def with_features_up_to(largest, model, images):
    """A convolution alone whose features of the first images are so large."""
    network = copy.deepcopy(model[:1])
    with torch.no_grad():
        factor = largest / network(images[:4]).abs().max()
        for parameter in network.parameters():
            parameter.mul_(factor)
    return network


@pytest.fixture(scope="module")
def cases(model, unlike):
    large, small = (with_features_up_to(largest, model, unlike[0]) for largest in (4e8, 2e-9))
    brighter, darker = ([unlike[0], factor * unlike[0][2:]] for factor in (4, 0.25))
    smaller = [unlike[0], unlike[1][..., 1:, 1:]]
    return {
        "plain": case(model, unlike, intervals=True, **PLAIN) | {"computes": True},
        "other": case(model, unlike, intervals=True, **OTHER) | {"computes": True},
        "large": case(large, brighter, intervals=True, chance=False),
        "small": case(small, darker, intervals=True, chance=False),
        "no image": case(model, [unlike[0], unlike[1][:0]]),
        "loaded": case(model, unlike) | {"loaded": True},
        "another size": case(model, smaller),
        "another option": case(model, unlike, others={"negative": "keep"}),
        "another network": case(model, unlike, other_model=without_last(model)),
    }


@pytest.fixture(scope="module")
def found(cases, tmp_path_factory):
    """What two processes find, case by case: scores, or a message, of each."""
    folder, running = tmp_path_factory.mktemp("processes"), []
    torch.save(list(cases.values()), folder / "given.pt")
    try:
        for rank in range(2):
            running.append(subprocess.Popen([sys.executable, "-c", PROCESS, str(rank), str(folder)]))
        assert [process.wait(240) for process in running] == [0, 0]
    finally:
        for process in running:
            process.kill()
            process.wait()
    both = (torch.load(folder / f"found{rank}.pt", weights_only=False) for rank in range(2))
    return dict(zip(cases, zip(*both, strict=True), strict=True))


def assert_same_but_for_chance(found, whole):
    for table in ("scores", "parts", "channels", "replicates", "layers"):
        mine, theirs = getattr(found, table), getattr(whole, table)
        of_chance = [column for column in mine if "chance" in column or column.startswith("corrected")]
        pd.testing.assert_frame_equal(mine.drop(columns=of_chance), theirs.drop(columns=of_chance), rtol=0, atol=1e-5)


def chance_within_processes(network, images, name, scope, measure, options):
    """By the definition: of all pairs of an image and the one before it in the same process."""
    parts = []
    for own in images:
        given = own.double().numpy()
        with torch.no_grad():
            still, turned = (
                network(torch.from_numpy(one)).numpy()
                for one in (given, oracle.on_pixels(given, name).astype("float64"))
            )
        parts.append(oracle._sides(still, turned, name, (1, 1), vector=False, subcell="linear").mismatched())
    assert sum(len(part.turned) for part in parts) == sum(map(len, images)) - 2
    pairs = oracle._Sides(
        *(np.concatenate([getattr(part, side) for part in parts]) for side in ("turned", "still", "expected")),
        parts[0].valid, parts[0].left_out,
    )  # fmt: skip
    units = oracle._units(len(pairs.turned), scope)
    found = oracle._measured(pairs, units, oracle.FEWEST_SAMPLES[scope], oracle._Options(**options))
    return getattr(found, measure).mean()


@pytest.mark.parametrize(("which", "options"), [("plain", PLAIN), ("other", OTHER)])
def test_processes_join_what_they_have_seen(model, unlike, found, which, options):
    whole = es.measure(model, torch.cat(unlike), transformations=FAMILIES, **options)
    assert np.isfinite(whole.scores["low"]).any() and len(unlike[0]) % 10  # whose images are in other groups
    network = copy.deepcopy(model[:1]).double()
    first, second = found[which]
    pd.testing.assert_frame_equal(first.scores, second.scores)
    assert first.manifest["images"] == 24
    assert_same_but_for_chance(first, whole)
    table = first.scores[first.scores["layer"] == "0"].set_index(["transformation", "measure", "scope"])
    for name, measure, scope in itertools.product(("rot90", "shift(1,1)"), oracle.MEASURES, oracle.FEWEST_SAMPLES):
        row = table.loc[(name, measure, scope)]
        chance = chance_within_processes(network, unlike, name, scope, measure, options)
        assert row["chance"] == pytest.approx(chance, abs=2e-6)
        assert row["corrected"] == pytest.approx((row["score"] - chance) / (1 - chance), abs=1e-5)


@pytest.mark.parametrize("which", ["large", "small"])
def test_processes_join_features_that_each_scales_in_its_own_way(cases, found, which):
    network, images = cases[which]["models"][0], cases[which]["images"]
    with torch.no_grad():
        scales = [scale_of(network(some[:4])) for some in images]
    assert scales[0] == 1 != scales[1]
    whole = es.measure(network, torch.cat(images), transformations=FAMILIES, chance=False)
    for one in found[which]:
        assert_same_but_for_chance(one, whole)


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ("no image", "Process 1: No image has been measured yet; call update(model, images) first."),
        ("loaded", "Process 1: The metric was loaded with 11 images and without their network; call update("),
        ("another size", "Process 1 has other options, images of another size or other layers than process 0; "),
        ("another option", "Process 1 has other options, "),
        ("another network", "Process 1 has other options, "),
    ],
)
def test_processes_that_cannot_be_joined_all_stop_with_one_sentence(found, which, message):
    first, second = found[which]
    assert first == second and first.startswith(message)
