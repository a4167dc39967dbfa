"""At which sizes grids lie symmetrically: by windows, strides and padding of any kind, and on public architectures."""

import pytest
import torch
from torch import nn

import equiscope as es
from equiscope.networks.symmetry import symmetric_copy
from equiscope_studies.networks import strided_network


def sizes_of(*modules, **options):
    found = es.symmetric_sizes(nn.Sequential(*modules), (3, 40, 40), **options)
    return {name: str(sizes) for name, sizes in found.items()}


def test_sizes_follow_from_windows_strides_and_padding():
    class Same(nn.Conv2d):
        """Padded as TensorFlow pads, one pixel more at the end where it must."""

        def forward(self, images):
            over = [max((-(-size // 2) - 1) * 2 + 3 - size, 0) for size in images.shape[2:]]
            padded = nn.functional.pad(
                images, [over[1] // 2, over[1] - over[1] // 2, over[0] // 2, over[0] - over[0] // 2]
            )
            return super().forward(padded)

    assert sizes_of(nn.Conv2d(3, 4, 3, padding=1)) == {"0": "every"}
    assert sizes_of(nn.Conv2d(3, 4, 3, 2, padding=1), nn.Conv2d(4, 4, 3, 2, padding=1)) == {
        "0": "2 k + 1",
        "1": "4 k + 1",
    }
    assert sizes_of(nn.Conv2d(3, 4, 4, 4)) == {"0": "4 k"}  # patches
    assert sizes_of(nn.MaxPool2d(3, 2, ceil_mode=True)) == {"0": "2 k + 1"}
    assert sizes_of(Same(3, 4, 3, 2)) == {"0": "2 k + 1"}
    assert sizes_of(nn.Conv2d(3, 4, 3, 2, padding=1), nn.ConvTranspose2d(4, 4, 4, 2, padding=1)) == {
        "0": "2 k + 1", "1": "2 k + 1"}  # fmt: skip


def test_a_mirrored_map_is_moved_by_one_position_at_other_sizes():
    """As networks for poses are known for: the map of a mirrored image must be moved before the two are averaged."""
    network = symmetric_copy(strided_network((8, 8), seed=0))
    sizes = es.symmetric_sizes(network, (3, 64, 64))
    assert {str(one) for one in sizes.values()} == {"2 k + 1", "4 k + 1"}
    for size, moved in ((64, 1), (65, 0)):
        images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            maps, mirrored = network(images), network(images.flip(-1)).flip(-1)
        inner = slice(4, -4)
        if not moved:
            torch.testing.assert_close(mirrored, maps)
        best = min((-1, 0, 1), key=lambda by: float((mirrored.roll(by, -1) - maps)[..., inner].abs().mean()))
        assert abs(best) == moved


def test_a_network_that_knows_no_other_size_has_none():
    class Fixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.place = nn.Conv2d(3, 4, 3, padding=1), nn.Parameter(torch.randn(4, 40, 40))

        def forward(self, images):
            return self.first(images) + self.place

    assert es.symmetric_sizes(Fixed(), (3, 40, 40), layers="first") == {}


def test_the_network_is_not_changed():
    network = strided_network((4,))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    es.symmetric_sizes(network.train(), (3, 40, 40))
    assert network.training and all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_torchvisions_resnet50_is_symmetric_at_32_k_plus_1():
    torchvision = pytest.importorskip("torchvision")
    with torch.random.fork_rng():
        network = torchvision.models.resnet50(weights=None)
    sizes = es.symmetric_sizes(network, (3, 224, 224), layers=["layer1.0", "layer4.0"])
    assert {name: str(one) for name, one in sizes.items()} == {"layer1.0": "4 k + 1", "layer4.0": "32 k + 1"}
    assert 224 not in sizes["layer4.0"] and sizes["layer4.0"].near(224) == [193, 225, 257]
