"""The architectures beside the files of weights that others trained."""

import datasets
import pytest
import torch

import equiscope as es
from equiscope_studies.survey.measuring import Surveyed, asked, measured
from equiscope_studies.survey.trained import TRAINED, trained

RIGHT = {"uva-resnet-cifar10": 0.85, "uva-densenet-cifar10": 0.8, "uva-googlenet-cifar10": 0.8,
         "uva-resnetpreact-cifar10": 0.85, "mobilenetv1-025-128": 0.3}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_they_classify_as_their_trainers_say(name, data):
    network = trained(name, data / "weights" / f"{name}.safetensors")
    of_cifar = "cifar10" in name
    rows = datasets.load_dataset(str(data / ("cifar10" if of_cifar else "imagenet-800")))
    some = rows["test" if of_cifar else next(iter(rows))].select(range(100))
    images = torch.stack([network.preprocessing(image) for image in some["img" if of_cifar else "image"]])
    with torch.inference_mode():
        found = network.model(images).argmax(1) - int(
            not of_cifar
        )  # MobileNets have a background class before the others
    assert (found == torch.tensor(some["label"])).float().mean() >= RIGHT[name]


def test_they_are_built_and_their_layers_are_found():
    for name in RIGHT:
        one = TRAINED[name]
        found = es.find_layers(
            one.build().eval(), (3, *one.preprocessing.size), layers=es.Layers(default=one.layers, pool=one.pool)
        )
        assert {layer.part for layer in found.measured} == {"early", "middle", "late", "pool", "final"}
        assert not found.left_out


def test_weights_that_are_not_there_or_another_networks_are_refused(tmp_path):
    wanted = asked(["uva-resnet-cifar10"], None, "noise", images=2, seed=0, shifts=[1])
    with pytest.raises(ValueError, match="uva-resnet-cifar10 needs its trained weights; give .*data"):
        measured(Surveyed("uva-resnet-cifar10", weights="random"), wanted, tmp_path)
    from safetensors.torch import save_file

    save_file({"other": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="other.safetensors does not hold the weights of uva-resnet-cifar10"):
        trained("uva-resnet-cifar10", tmp_path / "other.safetensors")


def test_shifts_are_the_same_fractions_of_every_input():
    wanted = asked(["efficientnet-lite0"], None, "photographs", images=2, seed=0, shifts=None)
    assert wanted.shifts_at((224, 224)) == (1, 2, 4, 8, 16, 32)
    assert wanted.shifts_at((128, 128)) == (1, 2, 5, 9, 18)
