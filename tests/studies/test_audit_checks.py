"""What the audit compares is found without the library, and each comparison can fail."""

from dataclasses import replace

import pytest
import timm
from torch import nn

import equiscope as es
from equiscope_studies import audit
from equiscope_studies.audit_checks import changed_elsewhere, changed_state, compared_with_timm, maps_of, state_of
from equiscope_studies.own_networks import VisionTransformer, own_networks
from equiscope_studies.transformers_networks import transformers_networks
from features import images


def moved(layers):
    """The layers with their tokens taken to be in another order."""
    return [layer if layer.vector else replace(layer, layout=replace(layer.layout, unrolled=1)) for layer in layers]


def test_maps_are_compared_with_timms_own_position_by_position():
    model = timm.create_model("test_vit").eval()
    size = model.patch_embed.img_size[0]
    found, batch = es.find_layers(model, (3, size, size)).measured, images(2, size)
    agreeing, wrong = compared_with_timm(model, maps_of(model, found, batch), batch)
    assert agreeing == len(model.blocks) and not wrong
    agreeing, wrong = compared_with_timm(model, maps_of(model, moved(found), batch), batch)
    assert agreeing == 0 and wrong[0] == "blocks.0 holds timm's intermediate 0 at other positions"
    assert compared_with_timm(nn.Identity(), {}, batch) == (0, [])


def test_maps_change_where_the_image_does():
    model = VisionTransformer()
    found = es.find_layers(model, (3, 32, 32)).measured
    assert changed_elsewhere(model, found, images(1, 32)) == []
    (*_, told) = changed_elsewhere(model, moved(found), images(1, 32))
    assert told.startswith("blocks.2 changes elsewhere than where the image does")


def test_a_network_that_is_not_as_it_was_is_told():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    before = state_of(model)
    assert changed_state(before, state_of(model)) == []
    model[1].running_mean += 1
    model[0].seen = ["an image"]
    assert changed_state(before, state_of(model)) == [
        "the network does not come back as it was (1: running_mean)",
        "the network does not come back as it was (0: seen)",
    ]


@pytest.mark.parametrize("name", ["own vit_class_token_in_the_middle", "own resized", "transformers Hiera"])
def test_networks_beside_the_libraries_are_audited(name):
    assert {"vit", "unet", "in_objects"} <= own_networks().keys() and {"ViT", "Hiera"} <= transformers_networks().keys()
    found = audit.audited("", name)
    assert found.error == "" and found.maps > 1
