"""The metric of torchmetrics: batches one at a time come to what `measure` finds on all of them in one."""

import copy
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import equiscope as es
from equiscope.functional.moments import scale_of
from equiscope.system.processes import Processes

torchmetrics = pytest.importorskip("torchmetrics")
from equiscope.integrations import torchmetrics as integration  # noqa: E402  (which needs torchmetrics)
from equiscope.integrations.torchmetrics import EquivarianceMetric  # noqa: E402

FAMILIES = (es.flips(), es.shifts([1]))
SIZES = (1, 5, 3, 11)  # images of the updates
BARE = es.Scoring(intervals=False)
LAYERS = ["0", "4"]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    ).train()


@pytest.fixture(scope="module")
def images():
    return torch.randn(sum(SIZES), 3, 10, 10, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def whole(model, images):
    """All images measured in one, on two layers and without intervals."""
    return es.measure(model, images, FAMILIES, scoring=BARE, layers=LAYERS)


def bare():
    return EquivarianceMetric(FAMILIES, scoring=BARE, layers=LAYERS)


def assert_same_tables(found, whole, within=2e-6):
    for table in ("scores", "parts", "channels", "laws", "replicates", "layers"):
        mine, theirs = getattr(found, table), getattr(whole, table)
        bounds = [column for column in mine if column.endswith(("low", "high"))]  # where the jackknife magnifies
        pd.testing.assert_frame_equal(mine[bounds], theirs[bounds], rtol=0, atol=5 * within)
        pd.testing.assert_frame_equal(mine.drop(columns=bounds), theirs.drop(columns=bounds), rtol=0, atol=within)
    assert found.manifest["images"] == whole.manifest["images"]


def assert_as_measured(metric, whole):
    assert_same_tables(metric.scores(), whole)
    computed, parts = metric.compute(), whole.parts[whole.parts["transformation"].isin(whole.families)]
    for row in parts[~parts["subpixel"]].to_dict("records"):
        name = f"{row['measure']}/{row['transformation']}/{row['scope']}/{row['part']}"
        for found, column in ((name, "score"), (f"explained/{name}", "explained")):
            assert np.isclose(computed[found].item(), row[column], rtol=0, atol=2e-6, equal_nan=True)


OF_ALL_KINDS = es.Scoring(
    measures=("invariance", "equivariance", "strict_invariance"), scopes=("dataset", "image"), similarity="cosine",
    negative="keep", seed=3,
)  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [{}, {"scoring": OF_ALL_KINDS, "layers": LAYERS}, {"layers": ["0"], "batch_size": 3, "device": "cpu"}],
)
def test_updates_come_to_what_is_measured_in_one(model, images, options):
    metric = EquivarianceMetric(FAMILIES, **options)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    for some in images.split(SIZES):
        metric.update(model, some)
    assert model.training and all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert_as_measured(metric, es.measure(model, images, FAMILIES, **options))


def test_it_measures_rotations_where_nothing_else_is_asked(model, images):
    options = {"run": es.Run(precision="bfloat16"), "scoring": BARE, "layers": "0"}
    metric = EquivarianceMetric(**options)
    metric.update(model, images)
    assert_same_tables(metric.scores(), es.measure(model, images, **options))


def saved_and_loaded(metric):
    other = bare()
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
def test_whatever_is_done_between_updates_they_go_on(model, images, whole, between):
    metric = bare()
    first, *others = images.split(SIZES)
    metric.update(model, first)
    for some in others:
        metric = between(metric)
        metric.update(model, some)
    assert_as_measured(metric, whole)


def test_a_loaded_metric_needs_its_network_before_it_gives_scores(model, images, whole):
    metric = bare()
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
    assert_as_measured(loaded, whole)


def trained_on(model):
    other = copy.deepcopy(model)
    other[4].bias.data[0] += 0.25
    return other


def mirrored(model):
    other = copy.deepcopy(model)
    other[0].weight.data = other[0].weight.data.flip(-1)
    return other


def without_last(model):
    return copy.deepcopy(model)[:4]


def of_other_stride(model):
    other = copy.deepcopy(model)
    other[0].stride = (2, 2)
    return other


OTHER_WEIGHTS = "^The network's weights are not those that the images before were measured with; reset the metric"
OTHERS = {
    trained_on: OTHER_WEIGHTS,
    mirrored: OTHER_WEIGHTS,
    without_last: r"^The network has other layers than the one before: .* in place of 4 \(Linear, 3 channels of 1 x 1",
    of_other_stride: r"^The network has other layers than the one before: 0 \(Conv2d, 4 channels of 4 x 4 positions\) "
    r"in place of 0 \(Conv2d, 4 channels of 8 x 8 positions\); reset the metric before another network",
}


def test_another_network_is_refused_and_the_images_before_stay(model, images, whole):
    metric = EquivarianceMetric(FAMILIES, scoring=BARE)
    metric.update(model, images[:8])
    for other, message in OTHERS.items():
        with pytest.raises(ValueError, match=message):
            metric.update(other(model), images[8:])
    metric.update(copy.deepcopy(model), images[8:])  # a copy is the same network
    rows = metric.scores().scores
    rows = rows[rows["layer"].isin(LAYERS)].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows, whole.scores, rtol=0, atol=2e-6)
    for other in OTHERS:
        metric.reset()
        metric.update(other(model), images[:2])
    assert metric.scores().manifest["images"] == 2


def test_a_network_that_trains_on_is_refused_and_looking_for_that_is_cheap(model, images, monkeypatch):
    network, digests = copy.deepcopy(model), []
    digest = integration.weights_digest
    monkeypatch.setattr(integration, "weights_digest", lambda of: digests.append(of) or digest(of))
    metric = bare()
    for some in images[:16].split(4):
        metric.update(network, some)
    assert len(digests) == 1
    network(images).sum().backward()
    torch.optim.SGD(network.parameters(), lr=1e-3).step()
    with pytest.raises(ValueError, match="weights are not those"):
        metric.update(network, images[16:])
    network = copy.deepcopy(model)
    with pytest.raises(ValueError, match="weights are not those"):
        metric.update(mirrored(network), images[16:])
    assert metric.scores().manifest["images"] == 16


def test_inference_mode_may_come_and_go(model, images, whole):
    metric = bare()
    for number, some in enumerate(images.split(SIZES)):
        with torch.inference_mode(number % 2 == 0):
            metric.update(model, some.clone())
        with torch.inference_mode(number % 2 == 1):
            metric.compute()
    assert_as_measured(metric, whole)


def test_forward_gives_the_scores_of_its_batch_and_remembers_all(model, images, whole):
    metric, last = bare(), bare()
    for some in images.split(SIZES):
        of_batch = metric(model, some)
    last.update(model, some)
    for name, value in last.compute().items():
        assert torch.equal(value, of_batch[name]) or (value.isnan() and of_batch[name].isnan())
    assert_same_tables(metric.scores(), whole)


def test_a_collection_shares_what_is_the_same_and_nothing_else(model, images):
    metrics = torchmetrics.MetricCollection(
        {
            "plain": EquivarianceMetric(FAMILIES, layers="0"),
            "bare": EquivarianceMetric(FAMILIES, layers="0", scoring=BARE),
            "signed": EquivarianceMetric(FAMILIES, layers="0", scoring=es.Scoring(negative="keep")),
        },
        prefix="val_",
    )
    whole = es.measure(model, images, FAMILIES, layers="0")
    table = whole.table(by="part", transformation="flips").set_index("part")
    for _ in range(2):
        for some in images.split(SIZES):
            metrics.update(model, some)
        found = metrics.compute()
        assert sorted(len(group) for group in metrics.compute_groups.values()) == [1, 2]
        assert found["val_bare_equivariance/flips/dataset/early"].item() == pytest.approx(
            table.loc["early", "equivariance"], abs=2e-6
        )
        plain, bare = metrics["plain"].scores(), metrics["bare"].scores()
        assert_same_tables(plain, whole)
        assert plain.scores["low"].notna().any() and bare.scores["low"].isna().all()
        metrics.reset()
    metrics.update(without_last(model), images)
    metrics.compute()
    manifests = [metric.scores().manifest for metric in metrics.values()]
    expected = es.measure(without_last(model), images, FAMILIES, layers="0").manifest
    assert [one["weights"] for one in manifests] == [expected["weights"]] * 3


def test_after_a_reset_all_is_new(model, images, whole):
    metric = bare()
    metric.update(model, torch.randn(3, 3, 12, 12))
    with pytest.raises(
        ValueError, match=r"^Images of shape \[3, 10, 10\] came after images of \[3, 12, 12\]; all must"
    ):
        metric.update(model, images)
    assert metric.scores().manifest["images"] == 3
    metric.reset()
    metric.update(model, images)
    assert_as_measured(metric, whole)
    with pytest.raises(ValueError, match=r"gives NaN, infinity .* for image 20 "):
        metric.update(model, torch.full((2, 3, 10, 10), torch.nan))
    with pytest.raises(ValueError, match="No image has been measured yet"):
        metric.scores()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size=0 is not usable: it must be a positive number of images"),
        ({"layers": []}, r"layers=\[\] names no layers"),
        ({"scoring": es.Scoring(alignment="registered")}, "alignment=registered needs images before the first"),
        ({"run": es.Run(memory=1)}, r"Of run=Run\(...\) a metric takes the precision alone"),
    ],
)
def test_options_are_checked_when_they_are_given(options, message):
    with pytest.raises(ValueError, match=message):
        EquivarianceMetric(FAMILIES, **options)


def test_a_state_of_other_options_is_refused(model, images):
    metric, other = bare(), EquivarianceMetric(FAMILIES, scoring=BARE)
    metric.update(model, images)
    other.memory = metric.memory
    for use in (other.scores, lambda: other.update(model, images)):
        with pytest.raises(ValueError, match=r"^The metric's state was made with other options; reset it, or give"):
            use()


def test_transformations_of_one_name_are_told_apart_by_what_they_do(model, images):
    half, turn = es.flips().transformations
    own = [es.Transformation("own", one.on_pixels, one.on_positions) for one in (half, turn)]
    first, other = (EquivarianceMetric(one, scoring=BARE, layers=LAYERS) for one in own)
    first.update(model, images)
    other.memory = first.memory
    with pytest.raises(ValueError, match="The transformation own is another one .* of the same name; reset the metric"):
        other.update(model, images)


def test_what_was_measured_is_the_same_images_as_those_of_measure(model, images, whole):
    metric = bare()
    for some in images.split(SIZES):
        metric.update(model, some)
    found = metric.scores()
    assert found.manifest["data"] == whole.manifest["data"] | {"kind": "batches"}
    differences = es.compare({"one": found, "other": whole}).query("what == 'difference'")
    assert len(differences) and np.nanmax(differences["score"].abs()) < 2e-6
    metric.reset()
    metric.update(model, images.flip(0))
    assert set(es.compare({"one": metric.scores(), "other": whole})["what"]) == {"score", "difference"}
    metric.update(model, images[:1])
    assert set(es.compare({"one": metric.scores(), "other": whole})["what"]) == {"score"}


@dataclass(frozen=True)
class InThreads(Processes):
    """Processes that are threads of this one, and meet at a barrier."""

    board: list = field(default_factory=lambda: [None, None])
    barrier: threading.Barrier = field(default_factory=lambda: threading.Barrier(2, timeout=60))

    def gathered(self, value):
        self.board[self.rank] = pickle.dumps(value)
        self.barrier.wait()
        told = [pickle.loads(one) for one in self.board]
        self.barrier.wait()
        return told

    def total(self, value):
        return torch.stack(self.gathered(value)).sum(0)


@pytest.fixture
def together(monkeypatch):
    """What the metrics of two processes find: scores, or a message, of each."""
    here, meeting = threading.local(), InThreads()
    monkeypatch.setattr(Processes, "here", lambda: here.processes)

    def found(metric, rank):
        here.processes = InThreads(rank, 2, meeting.board, meeting.barrier)
        try:
            return metric.scores()
        except ValueError as error:
            return str(error)

    def both(metrics):
        with ThreadPoolExecutor(2) as threads:
            return list(threads.map(found, metrics, range(2)))

    return both


def shared(images, model, families=FAMILIES, **options):
    """A metric of each process, which has seen its images."""
    metrics = []
    for its in images:
        metric = EquivarianceMetric(families, distributed_available_fn=lambda: True, **options)
        for few in its.split(5) if len(its) else ():
            metric.update(model, few)
        metrics.append(metric)
    return metrics


@pytest.fixture(scope="module")
def unlike():
    """The images of two processes: 13 of noise, and 11 that are coarse and brighter."""
    random = torch.Generator().manual_seed(2)
    coarse = nn.functional.interpolate(torch.rand(11, 3, 4, 4, generator=random), 10, mode="bilinear")
    return [torch.randn(13, 3, 10, 10, generator=random), 3 * coarse]


@pytest.mark.parametrize("options", [{}, {"scoring": OF_ALL_KINDS}])
def test_processes_join_what_they_have_seen_and_go_on_with_their_own(model, unlike, together, options):
    options |= {"layers": LAYERS}
    metrics = shared([unlike[0], unlike[1][:6]], model, **options)
    assert together(metrics)[1].manifest["images"] == 19
    metrics[1].update(model, unlike[1][6:])
    first, second = together(metrics)
    pd.testing.assert_frame_equal(first.scores, second.scores)
    whole = es.measure(model, torch.cat(unlike), FAMILIES, **options)
    assert np.isfinite(whole.scores["low"]).any() and len(unlike[0]) % 10  # whose images are in other groups
    assert_same_tables(first, whole, 1e-5)


def test_metrics_of_a_collection_join_what_they_share(model, unlike, together):
    metrics = shared(unlike, model, scoring=BARE, layers="0")
    others = shared([one[:0] for one in unlike], model, scoring=BARE, layers="0")
    for metric, other in zip(metrics, others, strict=True):
        other.memory = metric.memory
    whole = es.measure(model, torch.cat(unlike), FAMILIES, scoring=BARE, layers="0")
    for some in (metrics, others):
        assert_same_tables(together(some)[1], whole, 1e-5)


def with_features_up_to(largest, model, images):
    """A convolution alone whose features of the first images are so large."""
    network = copy.deepcopy(model[:1])
    with torch.no_grad():
        factor = largest / network(images[:4]).abs().max()
        for parameter in network.parameters():
            parameter.mul_(factor)
    return network


@pytest.mark.parametrize(("largest", "factor"), [(1e9, 4), (1e-9, 0.25)])
def test_processes_join_features_that_each_scales_in_its_own_way(model, unlike, together, largest, factor):
    images = [unlike[0], factor * unlike[0][2:]]
    network = with_features_up_to(largest, model, unlike[0])
    with torch.no_grad():
        scales = [scale_of(network(some[:1])) for some in images]
    assert scales[0] == 1 != scales[1]
    whole = es.measure(network, torch.cat(images), FAMILIES, scoring=BARE)
    for one in together(shared(images, network, scoring=BARE)):
        assert_same_tables(one, whole, 1e-5)


def of_another_size(model, images):
    return [*shared(images[:1], model), *shared([images[1][..., 1:, 1:]], model)]


def of_other_options(model, images):
    return [*shared(images[:1], model), *shared(images[1:], model, layers="0")]


def of_another_network(model, images):
    return [*shared(images[:1], model), *shared(images[1:], without_last(model))]


def of_no_image(model, images):
    return shared([images[0], images[1][:0]], model)


def loaded(model, images):
    first, second = shared(images, model)
    other = EquivarianceMetric(FAMILIES, distributed_available_fn=lambda: True)
    other.memory = list(second.memory)
    return [first, other]


UNLIKE = {
    of_no_image: "Process 1: No image has been measured yet; call update(model, images) first.",
    loaded: "Process 1: The metric was loaded with 11 images and without their network; call update(",
    of_another_size: "Process 1 has other options, images of another size, other layers or other transformations ",
    of_other_options: "Process 1 has other options, ",
    of_another_network: "Process 1 has other options, ",
}


@pytest.mark.parametrize("metrics", UNLIKE)
def test_processes_that_cannot_be_joined_all_stop_with_one_sentence(model, unlike, together, metrics):
    first, second = together(metrics(model, unlike))
    assert first == second and first.startswith(UNLIKE[metrics])


def test_a_process_of_torch_distributed_joins_itself(model, images, whole, tmp_path):
    metric = bare()
    metric.update(model, images)
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        assert_as_measured(metric, whole)
        metric.process_group = "another"
        with pytest.raises(ValueError, match=r"^EquivarianceMetric joins all processes; give it no process_group\.$"):
            metric.scores()
    finally:
        torch.distributed.destroy_process_group()
