"""The metric of torchmetrics: batches one at a time come to what `measure` finds on all of them in one."""

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import equiscope as es

torchmetrics = pytest.importorskip("torchmetrics")
from equiscope.torchmetrics_metric import EquivarianceMetric  # noqa: E402  (which needs torchmetrics)

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
    for some in images.split(SIZES):
        metric.update(model, some)
        metric = between(metric)
    if between is saved_and_loaded:
        with pytest.raises(ValueError, match=r"^No image has been measured yet; call update\(model, images\) first"):
            metric.scores()
        return
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
    with pytest.raises(ValueError, match=r"gives NaN or infinity for image 20 "):
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
import equiscope as es
from equiscope.torchmetrics_metric import EquivarianceMetric
rank, folder = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
given = torch.load(f"{folder}/given.pt", weights_only=False)
metric = EquivarianceMetric(es.rotations(), chance=False)
for some in given["images"][rank].split(4):
    metric.update(given["model"], some)
metric.compute()
metric.update(given["model"], given["more"][rank])
scores = metric.scores()
torch.save((scores.scores, scores.manifest["images"]), f"{folder}/found{rank}.pt")
dist.destroy_process_group()
"""


def test_processes_join_what_they_have_seen(model, images, tmp_path):
    more = torch.randn(2, 3, 10, 10)
    torch.save({"model": model, "images": [images[:8], images[9:]], "more": [images[8:9], more]}, tmp_path / "given.pt")
    command = [sys.executable, "-c", PROCESS]
    running = [subprocess.Popen([*command, str(rank), str(tmp_path)]) for rank in range(2)]
    assert [process.wait(120) for process in running] == [0, 0]
    images = torch.cat([images, more])
    whole = es.measure(model, images, transformations=es.rotations(), chance=False, intervals=False).scores
    for rank in range(2):
        table, count = torch.load(tmp_path / f"found{rank}.pt", weights_only=False)
        assert count == len(images)
        pd.testing.assert_frame_equal(table, whole, rtol=0, atol=2e-6)
