"""The recipe: its hash, and what cannot be."""

from dataclasses import replace

import pytest

from equiscope_studies.training.presets import Preset
from equiscope_studies.training.recipe import SCHEDULE, Recipe

RECIPE = Recipe(network="z2cnn", data="mnist6", augmentation="crops+cutmix", optimiser="adam", batch=64, epochs=3)


def test_a_recipes_hash_is_stable_and_tells_recipes_apart():
    assert Recipe(network="cifar-resnet44", data="cifar10", weight_decay=0.0001, epochs=200).hash == "5b1bfe2f88bf"
    assert Recipe(network="z2cnn", data="mnist6", epochs=1).hash == Recipe(network="z2cnn", data="mnist6").hash
    others = [replace(RECIPE, seed=2), replace(RECIPE, limit=128), replace(RECIPE, milestones=(1,))]
    assert len({RECIPE.hash, *(other.hash for other in others)}) == 4


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"optimiser": "lion"}, "one of sgd, adam"),
        ({"limit": 10}, "a batch alone has 64"),
        ({"network": "resnet9000"}, "such as cifar-resnet44"),
        ({"augmentation": "crops+turns"}, "'turns' is not known"),
        ({"data": "svhn"}, "'svhn' is not known"),
        ({"until": 80.0}, "an accuracy lies above 0"),
        ({"validation": 0}, "validation is 0"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        replace(RECIPE, **change)


def test_presets_and_recipes_share_the_schedule():
    preset = Preset(networks=("z2cnn",), data=("mnist6",), epochs=7, milestones=(2, 4), until=0.5, measure_every=2)
    (recipe, *_) = preset.recipes()
    assert all(getattr(recipe, name) == getattr(preset, name) for name in SCHEDULE)
    with pytest.raises(ValueError, match="epochs is 0"):
        replace(preset, epochs=0)
