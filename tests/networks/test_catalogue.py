"""The table agrees with the networks it names: run once each, on the `meta` device, which computes shapes alone."""

import re

import pytest
import timm
import torch
import torchvision
from torch import nn

from equiscope.networks.catalogue import CATALOGUE
from equiscope.networks.loading import load_network

# Layers by the papers' depths: for EfficientNet the sum of the block repeats, for ResNet the blocks.
LAYERS = {
    "cifar-resnet20": (9, "layer1.0", "layer3.2"),
    "cifar-resnet32": (15, "layer1.0", "layer3.4"),
    "cifar-resnet44": (21, "layer1.0", "layer3.6"),
    "cifar-resnet56": (27, "layer1.0", "layer3.8"),
    "efficientnet-lite0": (16, "blocks.0.0", "blocks.6.0"),
    "efficientnet-lite1": (21, "blocks.0.0", "blocks.6.0"),
    "efficientnet-lite2": (21, "blocks.0.0", "blocks.6.0"),
    "tf_efficientnet_b6.aa_in1k": (45, "blocks.0.0", "blocks.6.2"),
    "tf_efficientnet_b6.ns_jft_in1k": (45, "blocks.0.0", "blocks.6.2"),
    "tf_efficientnet_b7.aa_in1k": (55, "blocks.0.0", "blocks.6.3"),
    "tf_efficientnet_b7.ns_jft_in1k": (55, "blocks.0.0", "blocks.6.3"),
    "resnext101_32x8d.IMAGENET1K_V1": (33, "layer1.0", "layer4.2"),
    "resnext101_32x8d.IMAGENET1K_V2": (33, "layer1.0", "layer4.2"),
    "inception_v3.IMAGENET1K_V1": (18, "Conv2d_1a_3x3", "Mixed_7c"),
    "vit_base_patch16_224.augreg_in21k_ft_in1k": (12, "blocks.0", "blocks.11"),
    "vit_base_patch16_224.orig_in21k_ft_in1k": (12, "blocks.0", "blocks.11"),
    "mixer_b16_224.goog_in21k_ft_in1k": (12, "blocks.0", "blocks.11"),
}


def test_every_entry_is_a_case_here():
    assert set(LAYERS) == set(CATALOGUE)


@pytest.mark.parametrize("name", LAYERS)
def test_layers_and_pool_are_modules_in_order_of_execution(name):
    with torch.device("meta"):
        network = load_network(name, weights="random")
    model, entry = network.model, network.entry
    layers = [module for glob in entry.layers for module in matches(glob, model)]
    count, first, last = LAYERS[name]
    assert (len(layers), layers[0], layers[-1]) == (count, first, last)

    called, shapes = [], {}
    for module_name, module in model.named_modules():

        def note(_, inputs, output, module_name=module_name):
            called.append(module_name)
            shapes[module_name] = (inputs[0].shape, output.shape)

        module.register_forward_hook(note)
    with torch.no_grad():
        logits = model(torch.empty(1, 3, *network.preprocessing.size, device="meta"))

    assert [module_name for module_name in called if module_name in set(layers)] == layers  # each once
    classifier = [module_name for module_name in called if isinstance(model.get_submodule(module_name), nn.Linear)][-1]
    pooled = shapes[classifier][0] if entry.pool is None else shapes[entry.pool][1]
    assert pooled.numel() == pooled[1] and logits.shape == shapes[classifier][1]  # a vector, and nothing after
    assert called.index(layers[-1]) < called.index(entry.pool or classifier)


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=CATALOGUE)
def test_weights_and_accuracies_are_those_of_the_libraries(entry):
    library, _, name = entry.constructor.partition(":")
    assert (entry.top1 is None) == (entry.top1_source is None)
    if library == "timm":
        assert name in timm.list_pretrained() and 74 < entry.top1 < 87
    elif library == "torchvision":
        architecture, tag = name.split(".")
        declared = torchvision.models.get_model_weights(architecture)[tag]
        assert entry.top1 == declared.meta["_metrics"]["ImageNet-1K"]["acc@1"]
    else:
        assert entry.top1 is None and entry.preprocessing is not None
    assert library not in ("timm", "torchvision") or entry.package or entry.name == name


def matches(glob: str, model: nn.Module) -> list[str]:
    pattern = re.compile(re.escape(glob).replace(r"\*", r"[^.]+"))
    return [name for name, _ in model.named_modules() if pattern.fullmatch(name)]
