"""The presets of the studies: the paper's, and the same question smaller."""

from pathlib import Path

import pytest

from equiscope_studies.training.labelled import DATA_SETS
from equiscope_studies.training.presets import Preset, differences, table_of_differences
from equiscope_studies.training.study import STUDIES


def test_presets_are_the_papers():
    paper = {name: chosen.presets["paper"] for name, chosen in STUDIES.items()}
    assert list(paper) == ["data", "augmentation", "capacity", "architecture"]
    assert all(preset.seeds == 3 for preset in paper.values())
    recipes = {name: list(preset.recipes()) for name, preset in paper.items()}
    assert {name: len(found) for name, found in recipes.items()} == {
        "data": 9, "augmentation": 18, "capacity": 12, "architecture": 9
    }  # fmt: skip
    one = recipes["data"][0]
    assert (one.network, one.optimiser, one.batch) == ("z2cnn", "adam", 128)
    assert (one.learning_rate, one.weight_decay) == (0.01, 5e-4)
    assert (one.epochs, one.milestones, one.limit) == (100, (25, 50), None)
    one = recipes["capacity"][3]
    assert (one.network, one.augmentation, one.optimiser) == ("wide-resnet40-8", "none", "sgd")
    assert (one.learning_rate, one.momentum, one.weight_decay) == (0.1, 0.9, 1e-4)
    assert (one.epochs, one.milestones) == (200, (100, 150))
    assert paper["augmentation"].measuring.transformations == ("shifts:" + ",".join(map(str, range(1, 17))),)
    assert paper["data"].measuring.on == ("own", "mnist6")
    assert all(preset.measuring.scopes == ("dataset", "image") for preset in paper.values())


def test_the_documentation_tells_what_small_changes():
    page = Path(__file__).parents[3] / "docs" / "training-studies.md"
    assert table_of_differences(*STUDIES.values()) in page.read_text(encoding="utf-8")


def test_every_claim_is_about_conditions_that_a_preset_has():
    for chosen in STUDIES.values():
        for preset in chosen.presets.values():
            conditions = {getattr(recipe, chosen.varies) for recipe in preset.recipes()}
            assert conditions <= set(chosen.names)
            assert {recipe.data for recipe in preset.recipes()} <= set(DATA_SETS)
            about = [
                {each.first.condition, each.second.condition} for claim in chosen.claims for each in claim.differences
            ]
            assert sum(its <= conditions for its in about) >= 5, chosen.name


def test_a_preset_changes_by_name_and_milestones_move_with_epochs():
    paper = STUDIES["data"].presets["paper"]
    assert paper.changed({"epochs": 8}).milestones == (2, 4)
    assert paper.changed({"epochs": 8, "milestones": (1,)}).milestones == (1,)
    assert Preset.read("networks", "vit-48x6,z2cnn") == ("vit-48x6", "z2cnn")
    assert Preset.read("scopes", "dataset") == ("dataset",)
    assert Preset.read("rotations", "true") is True
    with pytest.raises(ValueError, match="There is no value 'epoch'"):
        paper.changed({"epoch": 8})
    assert ("batch", "128", "256") in differences(*STUDIES["augmentation"].presets.values())
