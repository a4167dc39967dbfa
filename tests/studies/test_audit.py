"""The audit: every family is tried, every score is checked, and one that fails stops none."""

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from torch import nn

import equiscope as es
from equiscope_studies import audit


def test_families_are_all_files_of_timm_and_of_torchvisions_classifiers():
    found = list(audit.families())
    names = [member for family in found for member in family.members]
    assert len(names) == len(set(names)) and not any("test_" in name for name in names)
    assert len({family.name for family in found if family.members[0].startswith("timm:")}) > 90
    torchvisions = [family for family in found if family.members[0].startswith("torchvision:")]
    listed = torchvision.models.list_models(module=torchvision.models)
    assert sorted(name for family in torchvisions for name in family.members) == [
        f"torchvision:{one}" for one in listed
    ]


def test_the_smallest_member_has_the_fewest_parameters():
    family = audit.Family("resnet", ("timm:resnet50", "timm:resnet10t", "timm:no_such_network", "timm:resnet18"))
    assert audit.smallest(family) == "timm:resnet10t"
    assert audit.smallest(audit.Family("none", ("timm:no_such_network",))) == "timm:no_such_network"


def test_one_network_that_crashes_stops_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr(audit, "families", lambda: iter(
        [audit.Family("none", ("timm:no_such_network",)), audit.Family("small", ("timm:test_efficientnet",))]
    ))  # fmt: skip
    folder = audit.audit(tmp_path / "audit")
    table = pd.read_parquet(folder / "audit.parquet")
    assert list(table["family"]) == ["none", "small"]
    assert table["error"][0].startswith("ValueError: timm has no network 'no_such_network'") and table["error"][1] == ""
    assert table["measured"].tolist() == [0, 7] and table["maps"].tolist() == [0, 5]
    page = (folder / "page.md").read_text()
    assert "1 of 2 families are measured with no hint and no error (50%; the goal, 95%, is missed)" in page
    assert "timm has no network 'no_such_network'" in page and f"torch {torch.__version__.split('+')[0]}" in page
    with pytest.raises(FileExistsError):
        audit.audit(folder)
    audit.audit(folder, limit=1, force=True)
    assert len(pd.read_parquet(folder / "audit.parquet")) == 1


def test_an_audit_that_was_stopped_goes_on_where_it_was(tmp_path, monkeypatch):
    families = [audit.Family(name, (f"own {name}",)) for name in ("resized", "unet", "columns_first")]
    run: list[str] = []

    def audited(family, name, *, seed):
        if name == "own unet" and run.count(name) == 0:
            run.append(name)
            raise KeyboardInterrupt
        run.append(name)
        return audit.Audited(family, name, 1, "8 x 8", 1, 1, "", "", 0, 1.0, "")

    monkeypatch.setattr(audit, "families", lambda: iter(families))
    monkeypatch.setattr(audit, "audited", audited)
    with pytest.raises(KeyboardInterrupt):
        audit.audit(tmp_path / "audit")
    kept = tmp_path / "audit.rows.jsonl"
    kept.write_text(kept.read_text() + '\n{"seed": 0, "ver')  # as where it was stopped while it wrote
    with pytest.raises(KeyboardInterrupt):
        run.clear()
        audit.audit(tmp_path / "audit", seed=1)
    assert run == ["own resized", "own unet"]
    folder = audit.audit(tmp_path / "audit")
    assert run == ["own resized", "own unet", "own unet", "own columns_first"]
    assert list(pd.read_parquet(folder / "audit.parquet")["family"]) == ["resized", "unet", "columns_first"]
    assert not kept.exists()


def test_no_family_is_no_audit(tmp_path):
    with pytest.raises(ValueError, match="limit=0 leaves no family"):
        audit.audit(tmp_path, limit=0)


def scores_of(model):
    pixels = torch.nn.functional.interpolate(torch.randn(4, 3, 8, 8), size=(32, 32), mode="bicubic")
    scoring = es.Scoring(scopes=("dataset", "image"), intervals=False)
    return es.measure(model, pixels, audit.transformations(), scoring=scoring, progress=False)


def test_scores_are_checked_and_the_check_can_fail():
    scores = scores_of(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()))
    assert audit.checked(scores) == ({}, [])
    scores.scores.loc[0, "score"], scores.scores.loc[1, "score"] = 1.2, np.nan
    same = scores.channels.index[scores.channels["transformation"] == "identity"][0]
    scores.channels.loc[same, "invariance"] = 0.999
    rows = scores.scores
    lowered = rows.index[(rows["transformation"] == "rot90") & (rows["measure"] == "linear")][0]
    rows.loc[lowered, "score"] = 0.0
    undefined, broken = audit.checked(scores)
    assert undefined == {} and len(broken) == 4
    assert broken[0].endswith("is 1.2") and broken[1].endswith("is NaN for no reason")
    assert broken[2] == "invariance under the identity: 1 channels, of 0 0.999000000"
    assert broken[3].startswith("linear of 0 under rot90 (dataset) is 0.0, below its equivariance")


def test_why_a_layer_has_no_score():
    constant = nn.Conv2d(3, 4, 1)
    nn.init.zeros_(constant.weight)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    small = nn.Sequential(nn.Conv2d(3, 4, 16, stride=16), nn.ReLU(), *head)
    assert audit.checked(scores_of(small)) == (
        {"0": "fewer than 9 positions within an image", "1": "fewer than 9 positions within an image"}, []
    )  # fmt: skip
    assert audit.checked(scores_of(nn.Sequential(constant, nn.ReLU()))) == (
        {"0": "every channel is constant", "1": "every channel is constant"}, []
    )  # fmt: skip


def test_large_networks_are_measured_on_fewer_pixels_where_they_take_them():
    with torch.device("meta"):
        grows, fixed = (
            es.load_network("timm:sam2_hiera_tiny", weights="random"),
            es.load_network("timm:beit_large_patch16_512", weights="random"),
        )
    assert audit._of_moderate_size(grows).preprocessing.size == (224, 224)
    assert audit._of_moderate_size(fixed).preprocessing.size == (512, 512)
