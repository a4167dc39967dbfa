"""Estimated statistics: what a normalisation layer gives of the images is standardised, and nothing else changes."""

import pytest
import torch
from torch import nn

from equiscope.networks.statistics import estimate_statistics

IMAGES = 3 + 2 * torch.randn(24, 3, 12, 12, generator=torch.Generator().manual_seed(0))


def network() -> nn.Module:
    torch.manual_seed(0)
    blocks = [
        layer
        for before, after in ((3, 8), (8, 8), (8, 8))
        for layer in (nn.Conv2d(before, after, 3), nn.BatchNorm2d(after), nn.ReLU(), nn.Dropout(0.5))
    ]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(8), nn.Linear(8, 4))


def test_what_a_normalising_layer_gives_is_standardised_at_every_depth() -> None:
    model = network().eval()
    weights = {name: value.clone() for name, value in model.named_parameters()}
    assert estimate_statistics(model, [IMAGES]) == 24
    with torch.no_grad():
        for end in (2, 6, 10, 15):
            given = model[:end](IMAGES)
            axes = (0, 2, 3)[: given.ndim - 1]
            torch.testing.assert_close(given.mean(axes), torch.zeros(8), atol=2e-2, rtol=0)
            torch.testing.assert_close(given.var(axes), torch.ones(8), atol=2e-2, rtol=0)
    assert not any(module.training for module in model.modules())
    assert all(module.momentum == 0.1 for module in model.modules() if isinstance(module, nn.BatchNorm2d))
    assert all(torch.equal(value, weights[name]) for name, value in model.named_parameters())


def test_all_but_the_statistics_is_as_it_was() -> None:
    class Merged(nn.Conv2d):
        """Weights that are merged in evaluation, and a counter."""

        calls = 0

        def train(self, mode: bool = True) -> "Merged":
            if mode != self.training:
                self.weight.data += 1 if mode else -1
            return super().train(mode)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return super().forward(images)

    model = nn.Sequential(Merged(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.BatchNorm2d(4))
    model[3].eval()
    before, modes = model[0].weight.clone(), [module.training for module in model]
    assert estimate_statistics(model, [IMAGES]) == 24
    assert torch.equal(model[0].weight, before) and model[0].calls == 0 and not model[0].weight.grad_fn
    assert [module.training for module in model] == modes and model[1].momentum == 0.1
    assert model[1].running_mean.abs().max() > 0.1 and int(model[3].num_batches_tracked) == 1
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match="The network fails"):
        estimate_statistics(model, [IMAGES[:, :1]])
    assert all(torch.equal(value, kept[name]) for name, value in model.state_dict().items())


def test_batches_give_about_the_same_and_a_last_one_of_one_image_does_no_harm() -> None:
    once, often = network().eval(), network().eval()
    estimate_statistics(once, [IMAGES])
    assert estimate_statistics(often, IMAGES[:17].split(8)) == 16
    for one, other in zip(once.buffers(), often.buffers(), strict=True):
        if one.is_floating_point():
            assert (one - other).abs().max() < 0.5 * one.abs().max()


def test_without_such_layers_no_image_is_looked_at_and_one_image_is_refused_for_a_vector() -> None:
    assert estimate_statistics(nn.Conv2d(3, 2, 3), ()) == 0
    with pytest.raises(ValueError, match="cannot be estimated on 1 image; give more"):
        estimate_statistics(network(), [IMAGES[:1]])
    with pytest.raises(ValueError, match="The network fails on images of 5 x 12 x 12"):
        estimate_statistics(network(), [torch.zeros(4, 5, 12, 12)])
