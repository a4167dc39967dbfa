"""How tensors lie where shapes do not tell: a network's answers do, or the tensor is left out with the reason."""

import warnings

import pytest
import torch
import transformers
from torch import nn

import equiscope as es
from equiscope.networks.layers import find_layers
from equiscope.networks.options import Layers
from equiscope_studies.own_networks import (
    ColumnsFirst,
    InWindows,
    PairsOfLayers,
    Scrambled,
    TokensFirst,
    VisionTransformer,
)
from features import features, images

SHAPE = (3, 32, 32)


def with_class_token(place):
    model = VisionTransformer(class_token=place)
    nn.init.zeros_(model.position)
    return model


def alike(model, first, second, size=32):
    """Whether two layers hold the same maps, position by position."""
    batch = images(2, size)
    layers = {layer.name: layer for layer in find_layers(model, batch.shape[1:], [first, second]).measured}
    found = features(model, layers.values(), batch)
    maps = [layers[name].maps(found[name]) for name in (first, second)]
    return torch.allclose(*maps, atol=1e-6), layers[second]


# --- tokens that are not row by row, or not alone


@pytest.mark.parametrize(
    ("place", "others"),
    [("first", (1, 0, 0)), ("middle", (0, 1, 0)), ("last", (0, 0, 1)), ("none", (0, 0, 0))],
)
def test_a_class_token_is_found_wherever_it_stands(place, others):
    same, layer = alike(with_class_token(place), "embed", "blocks.0:input")
    assert same and (layer.layout.before, layer.layout.middle, layer.layout.after) == others
    found = find_layers(with_class_token(place), SHAPE)
    assert [layer.name for layer in found.measured][:3] == ["blocks.0", "blocks.1", "blocks.2"]
    assert {layer.stride for layer in found.measured[:3]} == {(4, 4)}


def test_tokens_in_windows_are_brought_into_the_order_of_the_image():
    same, layer = alike(InWindows(), "embed", "blocks.0:input")
    assert same and layer.layout.windows == (4, 4)


def test_tokens_unrolled_for_pooling_are_brought_into_the_order_of_the_image():
    config = transformers.HieraConfig(
        image_size=(64, 64), embed_dim=16, depths=[1, 1, 1], num_heads=[1, 2, 4], num_query_pool=2,
        masked_unit_size=(4, 4), masked_unit_attention=(True, True, False),
    )  # fmt: skip
    model = transformers.AutoModelForImageClassification.from_config(config).eval()
    layers = [layer for layer in find_layers(model, (3, 64, 64)).measured if not layer.vector]
    assert [layer.layout.unrolled for layer in layers] == [2, 1, 0]
    batch = images(2, 64)
    read = features(model, layers, batch)
    with torch.no_grad():  # its own way back
        own = model(pixel_values=batch, output_hidden_states=True).reshaped_hidden_states
    for layer, maps in zip(layers, own[-3:], strict=True):
        assert torch.allclose(layer.maps(read[layer.name]), maps.permute(0, 3, 1, 2), atol=1e-5)


class Ordered(nn.Module):
    """Patches in whatever order, with other tokens before and after them, each by itself."""

    def __init__(self, order, before=0, after=0):
        super().__init__()
        self.embed, self.order, self.before = nn.Conv2d(3, 16, 4, stride=4), order, before
        self.tokens = nn.Parameter(torch.randn(1, before + after, 16))
        self.blocks = nn.Sequential(*(nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 16)) for _ in range(2)))

    def forward(self, pixels):
        others, tokens = self.tokens.expand(len(pixels), -1, -1), self.order(self.embed(pixels))
        return self.blocks(torch.cat([others[:, : self.before], tokens, others[:, self.before :]], 1)).mean(1)


def rows(maps):
    return maps.flatten(2).mT


def snake(maps):
    return torch.cat([row if place % 2 else row.flip(-1) for place, row in enumerate(maps.unbind(2))], -1).mT


def recursive(maps):
    """Window by window, in windows of windows: Morton's order, near to that of windows of 2 x 2."""
    halves = maps.view(len(maps), -1, 2, 2, 2, 2, 2, 2)
    return halves.permute(0, 2, 5, 3, 6, 4, 7, 1).flatten(1, 6)


def flat_windows(maps):
    return maps.unflatten(3, (-1, 4)).unflatten(2, (-1, 2)).permute(0, 2, 4, 3, 5, 1).flatten(1, 4)


@pytest.mark.parametrize(
    ("model", "found"),
    [
        (Ordered(rows, before=1, after=4), True),
        (Ordered(flat_windows, before=1), True),
        (Ordered(snake), False),
        (Ordered(recursive), False),
        (Ordered(lambda maps: rows(maps).flip(1)), False),
        (Ordered(lambda maps: rows(maps.roll((-2, 3), (2, 3)))), False),
    ],
    ids=["registers after", "flat windows", "snake", "Morton", "reversed", "rolled"],
)
@pytest.mark.filterwarnings("ignore:None of the network")
def test_an_order_is_brought_back_or_left_out_and_never_taken_for_another(model, found):
    if found:
        same, _ = alike(model, "embed", "blocks.0:input")
        assert same
    else:
        assert [one.reason for one in find_layers(model, SHAPE).left_out if "not in the order" in one.reason]


def test_tokens_that_are_chosen_by_their_values_have_no_grid():
    def largest(tokens):
        chosen = tokens.norm(dim=-1).topk(tokens.shape[1] // 4, 1).indices.sort(1).values
        return tokens.gather(1, chosen[..., None].expand(-1, -1, tokens.shape[-1]))

    with pytest.warns(UserWarning, match="tokens are chosen by their values"):
        found = find_layers(Ordered(lambda maps: largest(rows(maps))), SHAPE)
    assert [one.name for one in found.left_out] == ["blocks.0", "blocks.1"]


def test_a_sequence_of_columns_is_no_grid():
    class Columns(nn.Module):
        """As networks that read text: of one height, whose columns follow each other."""

        def __init__(self):
            super().__init__()
            self.convolutions = nn.Sequential(*(nn.Sequential(nn.Conv2d(n, 4, 3, 2, 1), nn.ReLU()) for n in (3, 4)))
            self.rows, self.over = nn.Linear(32, 8), nn.LSTM(8, 8, batch_first=True)

        def forward(self, pixels):
            return self.over(self.rows(self.convolutions(pixels).permute(0, 3, 1, 2).flatten(2)))[0]

    found = find_layers(Columns(), SHAPE, ["**.0", "rows", "over*"])
    assert [(one.name, one.layout.grid, one.stride) for one in found.measured[:2]] == [
        ("convolutions.0.0", (16, 16), (2, 2)), ("convolutions.0", (16, 16), (2, 2))
    ]  # fmt: skip
    assert [one.name for one in found.left_out] == ["rows", "over[0]"]


def test_tokens_that_do_not_answer_are_supposed_to_lie_as_declared_and_that_is_told():
    model = Ordered(lambda maps: rows(maps).mean(1, keepdim=True) + 0 * rows(maps))
    model.patch_size = 4
    with pytest.warns(UserWarning, match="positions of blocks.0 and 1 more is supposed .*: no position answers to one"):
        find_layers(model, SHAPE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        find_layers(model, SHAPE, Layers("blocks.*", layouts={"blocks.**": "tokens:8x8"}))


def test_tokens_in_an_order_that_no_rule_gives_are_left_out_and_told():
    with pytest.warns(UserWarning, match=r"None of the network's 3 blocks gives a feature map .* \(blocks.0: its posi"):
        found = find_layers(Scrambled(), SHAPE)
    assert [one.name for one in found.left_out] == ["blocks.0", "blocks.1", "blocks.2"]
    assert "not in the order of the image" in found.left_out[0].reason and "8 x 8" in found.left_out[0].reason
    assert [layer.name for layer in found.measured] == ["embed", "head:input", "head"]


def test_patches_of_a_linear_layer_and_blocks_that_are_pairs():
    found = find_layers(PairsOfLayers(), SHAPE)
    blocks = [f"layers.{block}.{half}" for block in range(3) for half in range(2)]
    assert [layer.name for layer in found.measured] == [*blocks, "head:input", "head"] and not found.left_out
    assert {(layer.layout.grid, layer.layout.before) for layer in found.measured[:6]} == {((8, 8), 1)}


# --- axes


def test_images_on_the_second_axis_are_told_by_their_number():
    same, layer = alike(TokensFirst(), "embed", "encoder.layers.0[0]:input")
    assert same and layer.layout.image_axis == 1
    found = find_layers(TokensFirst(), SHAPE)
    assert [layer.name for layer in found.measured] == [
        *(f"encoder.layers.{n}" for n in range(3)),
        "head:input",
        "head",
    ]
    given = Layers("encoder.layers.0", layouts={"encoder.layers.*": "tokens:8x8"})
    assert find_layers(TokensFirst(), SHAPE, given).measured[0].layout.image_axis == 1
    scores = es.measure(TokensFirst(), images(4, 32), es.identity(), layers=given, progress=False)
    assert scores.table()["invariance"].item() == pytest.approx(1)


def test_channels_before_tokens_are_told():
    model = nn.Sequential(nn.Conv2d(3, 6, 4, stride=4), nn.Flatten(2), nn.Conv1d(6, 5, 1))
    same, layer = alike(model, "0", "1")
    assert same and layer.layout.channels_first and (layer.layout.grid, layer.channels) == ((8, 8), 6)


class OneSize(nn.Module):
    """A network that takes 32 pixels only."""

    def __init__(self, inside):
        super().__init__()
        self.inside = inside

    def forward(self, pixels):
        if pixels.shape[-2:] != (32, 32):
            raise RuntimeError("32 pixels only")
        return self.inside(pixels)


@pytest.mark.parametrize("wrap", [nn.Sequential, OneSize])
def test_columns_before_rows_are_told_by_growth_or_by_a_change(wrap):
    model = wrap(ColumnsFirst())
    name = f"{'0' if wrap is nn.Sequential else 'inside'}.convolutions.0"
    (layer,) = find_layers(model, SHAPE, name).measured
    assert layer.layout.columns_first and layer.stride == (2, 2)
    batch = images(2, 32)
    maps = layer.maps(features(model, [layer], batch)[name])
    convolution = model.get_submodule(name)
    assert torch.allclose(maps, convolution(batch.mT).mT, atol=1e-6)


@pytest.mark.parametrize("wrap", [nn.Sequential, OneSize])
def test_several_axes_may_hold_the_channels_of_maps(wrap):
    model = wrap(nn.Sequential(nn.Conv2d(3, 8, 1), nn.Unflatten(1, (2, 4)), nn.ReLU()))
    name = f"{'0' if wrap is nn.Sequential else 'inside'}.1"
    (layer,) = find_layers(model, SHAPE, name).measured
    assert (layer.layout.kind, layer.layout.grid, layer.channels, layer.stride) == ("map", (32, 32), 8, (1, 1))
    scores = es.measure(model, images(6, 32), es.rotations(), layers=name, progress=False)
    assert scores.table()["invariance"].tolist() == pytest.approx([1])


def test_channels_between_rows_and_columns_are_named():
    class Between(nn.Module):
        def forward(self, maps):
            return maps.transpose(1, 2)

    found = find_layers(nn.Sequential(nn.Conv2d(3, 4, 1), Between()), SHAPE, ["0", "1"])
    assert [one.reason.partition(":")[0] for one in found.left_out] == [
        "its rows and columns have channels between them"
    ]


def test_a_pointwise_layer_on_columns_before_rows_turns_as_the_image_does():
    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            self.point = nn.Conv2d(3, 4, 1)

        def forward(self, pixels):
            return self.point(pixels.mT)

    scores = es.measure(Turned(), images(6, 16), es.rotations(), layers="point", progress=False)
    assert scores.table()["invariance"].tolist() == pytest.approx([1])


@pytest.mark.parametrize(
    ("model", "size", "words"),
    [
        (InWindows(window=1), 32, "grow with the height and with the width alike, as attention weights of tokens do"),
        (VisionTransformer(16, class_token="none"), 16, "not in the order of the image"),  # as many as pixels a side
        (VisionTransformer(32), 32, "no grid of positions that divides 32 x 32 pixels"),
    ],
)
def test_attention_weights_are_no_maps(model, size, words):
    with pytest.raises(ValueError, match=words):
        find_layers(model, (3, size, size), "blocks.1.attention.weights")


# --- what is not seen, and what does not take part


class Typed:
    """A tensor with a type, as libraries of equivariant networks have it."""

    def __init__(self, tensor, kind):
        self.tensor, self.type, self.coords = tensor, kind, None


class OfTyped(nn.Module):
    """A layer of such a library, whose parts work on plain tensors."""

    def __init__(self, channels_in, channels):
        super().__init__()
        self.expansion, self.norm = nn.Conv2d(channels_in, channels, 1), nn.BatchNorm2d(channels)

    def forward(self, typed):
        return Typed(self.norm(self.expansion(typed.tensor)), typed.type)


class Row(nn.Module):
    """Such a library's sequence."""

    def __init__(self, *layers):
        super().__init__()
        for number, layer in enumerate(layers):
            self.add_module(str(number), layer)

    def forward(self, typed):
        for layer in self.children():
            typed = layer(typed)
        return typed


class Library(nn.Module):
    def __init__(self):
        super().__init__()
        self.block1, self.block2 = Row(OfTyped(3, 4), OfTyped(4, 4)), Row(OfTyped(4, 8))
        self.head = nn.Linear(8, 2)

    def forward(self, pixels):
        return self.head(self.block2(self.block1(Typed(pixels, "regular"))).tensor.mean((-2, -1)))


def test_the_one_tensor_inside_an_object_is_found():
    found = find_layers(Library(), (3, 12, 12))
    assert [layer.name for layer in found.measured] == ["block1.0", "block1.1", "block2.0", "head:input", "head"]
    scores = es.measure(Library(), images(6, 12), es.rotations(), layers=["block1", "block2"], progress=False)
    assert scores.table()["invariance"].tolist() == pytest.approx([1] * 2)


@pytest.mark.parametrize("library", ["e2cnn", "escnn"])
@pytest.mark.filterwarnings("ignore")
def test_networks_of_equivariant_libraries_are_equivariant(library):
    pytest.importorskip(library)
    from equiscope_studies.own_networks import steerable

    model = steerable(library).eval()
    found = find_layers(model, SHAPE)
    assert "block1.0" in [layer.name for layer in found.measured] and not found.left_out
    scores = es.measure(model, images(12, 17), es.rotations(), layers=["block1", "pool"], progress=False)
    table = scores.table().set_index("layer")
    assert table.loc["block1", "equivariance"].min() > 0.99
    assert table.loc["pool", "invariance"].min() > 0.99


def test_a_mask_or_indices_beside_a_map_are_no_features():
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, maps):
            maps = self.conv(maps)
            return maps, maps > 0

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks, self.pool = nn.ModuleList([Masked(), Masked()]), nn.MaxPool2d(2, return_indices=True)

        def forward(self, pixels):
            for block in self.blocks:
                pixels, _ = block(pixels)
            return self.pool(pixels)[0]

    found = find_layers(Network(), (3, 8, 8))
    assert [layer.name for layer in found.measured] == ["blocks.0[0]", "blocks.1[0]"]
    assert {one.name for one in found.left_out if "a mask" in one.reason} == {"blocks.0[1]", "blocks.1[1]"}
    assert len(find_layers(Network(), (3, 8, 8), ["pool"]).measured) == 1


def test_a_block_that_is_never_called_or_gives_no_tensor_is_left_out_with_the_reason():
    class Inside(nn.Module):
        def __init__(self, gives):
            super().__init__()
            self.conv, self.gives = nn.Conv2d(3, 3, 1), gives

        def forward(self, maps):
            self.last = self.conv(maps)
            return self.gives(self.last)

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList([Inside(torch.relu), Inside(lambda maps: None), Inside(torch.relu)])

        def forward(self, pixels):
            maps = self.blocks[0](pixels)
            self.blocks[1](maps)
            return maps

    found = find_layers(Network(), (3, 8, 8))
    assert [layer.name for layer in found.measured] == ["blocks.0"]
    reasons = {one.name: one.reason for one in found.left_out}
    assert reasons == {"blocks.1": "it gives no tensor, but NoneType", "blocks.2": "the network does not call it"}


# --- names and labels


def test_a_module_named_output_is_not_the_networks_own():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.output = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 1)

        def forward(self, pixels):
            return self.output(self.stem(pixels)) + 1

    (layer,) = find_layers(Network(), (3, 8, 8), ["output"]).measured
    assert (layer.name, layer.source.module, layer.channels) == ("output", "output", 5)
    (own,) = find_layers(Network(), (3, 8, 8), [".output"]).measured
    assert (own.name, own.source.module) == (".output", "")


@pytest.mark.parametrize("softmax", [nn.Softmax(1), nn.LogSoftmax(1), lambda logits: torch.softmax(logits, 1)])
def test_final_is_before_a_softmax_of_a_module_or_a_function(softmax):
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc, self.last = nn.Conv2d(3, 4, 3), nn.Linear(4, 2), softmax

        def forward(self, pixels):
            return self.last(self.fc(self.conv(pixels).mean((-2, -1))))

    parts = {layer.name: layer.part for layer in find_layers(Network(), (3, 8, 8)).measured}
    assert parts == {"conv": "early", "fc:input": "pool", "fc": "final"}


def test_final_is_what_a_softmax_is_given_where_no_module_gives_it():
    class Cooled(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc, self.softmax = nn.Conv2d(3, 4, 3), nn.Linear(4, 2), nn.Softmax(1)

        def forward(self, pixels):
            return self.softmax(self.fc(self.conv(pixels).mean((-2, -1))) / 0.1)

    parts = {layer.name: layer.part for layer in find_layers(Cooled(), (3, 8, 8)).measured}
    assert parts == {"conv": "early", "softmax:input": "final"}
