"""A layer alone: against the oracle, on networks whose answer is known, and with the network left as it was."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import equiscope as es
import oracle
from agreement import assert_agree, features
from equiscope.results.columns import ALONE, LADDER
from equiscope_studies.steerable_networks import isotropic_network, steerable_network
from test_known_answers import digits, faded, of_uva

ALL = (*LADDER, "alone")
FAMILIES = [es.Family("turns", es.rotations().transformations[:2]), es.shifts([1, (2, -2)])]
STRIDES = {"0": (1, 1), "2": (2, 2), "3": None}  # of the small network's layers
OF_INPUTS = {"0": (1, 1), "2": (1, 1), "3": (2, 2)}


def noise(count, channels=3, size=9, seed=0):
    images = torch.randn(count, channels, size, size, generator=torch.Generator().manual_seed(seed))
    return nn.functional.avg_pool2d(images, 3, 1, 1)


def smooth(count, size=15):
    """Images whose neighbouring pixels are alike, as those of photographs are."""
    return nn.functional.avg_pool2d(noise(count, 1, size + 6), 7, 1)


def small_network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(6, 5, 3, stride=2, padding=1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 4),
    )  # fmt: skip


def group_convolution(channels_in, channels_out, seed, *, rotations_in=4, odd=False):
    """A convolution that is exactly equivariant to quarter turns: each output has its four rotations as channels.

    `odd`: padded by two on one side and by none on the other, which moves the map and makes it inexact.
    """
    base = torch.randn(channels_out, channels_in, rotations_in, 3, 3, generator=torch.Generator().manual_seed(seed))
    turned = [torch.rot90(base.roll(turn, 2) if rotations_in == 4 else base, turn, (-2, -1)) for turn in range(4)]
    weight = torch.stack(turned, 1).flatten(2, 3).flatten(0, 1) / base[0].numel() ** 0.5
    convolution = nn.Conv2d(channels_in * rotations_in, 4 * channels_out, 3, padding=0 if odd else 1, bias=False)
    convolution.weight.data = weight
    return nn.Sequential(nn.ZeroPad2d((2, 0, 2, 0)), convolution) if odd else nn.Sequential(convolution)


class Blocks(nn.Module):
    """Blocks of group convolutions with ReLUs that work in place, then pooling."""

    def __init__(self, odd=None):
        super().__init__()
        channels = [1, 2, 3, 3, 2]
        self.blocks = nn.ModuleList(
            nn.Sequential(
                group_convolution(*pair, seed=place, rotations_in=4 if place else 1, odd=place == odd),
                nn.ReLU(inplace=True),
            )
            for place, pair in enumerate(zip(channels, channels[1:], strict=False))
        )
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, images):
        for block in self.blocks:
            images = block(images)
        return self.pool(images).flatten(1)


# --- the oracle


def matching(expected, found, valid):
    """For each channel the best one by correlation, under the displacement that explains most; itself if as good."""
    rows, columns = (np.flatnonzero(valid.any(axis)) for axis in (1, 0))
    sides = [side[:, :, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] for side in (expected, found)]
    by_move = {
        (dy, dx): correlations(*sides, dy, dx)
        for dy in range(-2, 3)
        for dx in range(-2, 3)
        if min(sides[0].shape[2] - abs(dy), sides[0].shape[3] - abs(dx)) >= 3
    }
    explained = {move: (np.maximum(r.max(0), 0) ** 2).mean() for move, r in by_move.items()}
    best = max(explained, key=explained.get)
    r = by_move[best if explained[best] > explained[0, 0] + 0.02 else (0, 0)]
    return np.where(r.diagonal() >= r.max(0) - 1e-6, np.arange(len(r)), r.argmax(0))


def correlations(expected, found, dy, dx):
    """Of expected channels, moved by so many positions, with found ones."""
    height, width = found.shape[-2:]
    pairs = [(y, x) for y in range(height) for x in range(width) if 0 <= y - dy < height and 0 <= x - dx < width]
    samples = [
        np.concatenate([side[:, :, y - oy, x - ox] for y, x in pairs]).T
        for side, (oy, ox) in ((expected, (dy, dx)), (found, (0, 0)))
    ]
    one, two = (side - side.mean(1, keepdims=True) for side in samples)
    return (one @ two.T) / np.linalg.norm(one, axis=1)[:, None] / np.linalg.norm(two, axis=1)


def alone_by_oracle(model, images, name):
    """What the modules give for their inputs transformed, by layer, from plain positions.

    The input of the first is the image, whose colours stay; that of each other what the one before it gives, whose
    channels match as they do for that one alone.
    """
    modules, kept = dict(model.named_modules()), {}
    handles = [
        modules[layer].register_forward_pre_hook(lambda _, its, layer=layer: kept.__setitem__(layer, its[0].clone()))
        for layer in STRIDES
    ]
    originals = features(model, list(STRIDES), images)
    for handle in handles:
        handle.remove()
    found, order = {}, np.arange(images.shape[1])
    for layer, given in kept.items():
        expected, valid = oracle.on_positions(given.double().numpy(), name, OF_INPUTS[layer])
        put_in = torch.from_numpy(np.where(valid, expected, 0)[:, order]).float()
        found[layer] = modules[layer](put_in).double().numpy().reshape(originals[layer].shape)
        if STRIDES[layer] is not None:
            moved, there = oracle.on_positions(originals[layer], name, STRIDES[layer])
            order = matching(moved[:16], found[layer][:16], there)
    return found


def as_if_from_the_image(scores):
    """The rows and columns of layers alone, under the names of the measures that they are."""
    back = dict(ALONE)
    of_tables = {}
    for name in ("scores", "parts", "replicates"):
        table = getattr(scores, name)
        its = table[table["measure"].isin(ALONE)]
        of_tables[name] = its.assign(measure=its["measure"].map(back))
    channels = scores.channels.drop(columns=[name for name in scores.channels if any(one in name for one in LADDER)
                                             and "alone" not in name] + ["partner"])  # fmt: skip
    renamed = {name: name.replace("alone_", "") for name in channels}
    return replace(scores, **of_tables, channels=channels.rename(columns=renamed), laws=scores.laws.iloc[:0])


@torch.no_grad()
def test_every_number_is_the_oracle_s():
    model, images = small_network().eval(), noise(23)
    scoring = es.Scoring(measures=ALL, scopes=("dataset", "image"))
    scores = es.measure(model, images, FAMILIES, layers=list(STRIDES), scoring=scoring, batch_size=7)
    originals = features(model, list(STRIDES), images)
    members = {family.name: [one.name for one in family.transformations] for family in FAMILIES}
    found = {name: alone_by_oracle(model, images, name) for names in members.values() for name in names}
    for layer, stride in STRIDES.items():
        expected = oracle.layer_scores(
            originals[layer], {name: of[layer] for name, of in found.items()}, stride, families=members,
            vector=stride is None, measures=LADDER, scopes=("dataset", "image"), interpolated={
                name: any(oracle.is_interpolated(name, one, "linear") for one in (OF_INPUTS[layer], stride or (1, 1)))
                for name in found
            },
        )  # fmt: skip
        expected.laws.clear()
        assert_agree(as_if_from_the_image(scores), {layer: replace(expected, dimension=np.nan)})


# --- known answers


def alone(scores, measure, transformation="rotations"):
    rows = scores.scores[(scores.scores["measure"] == measure) & (scores.scores["transformation"] == transformation)]
    return rows.set_index("layer")["explained"]


def test_the_one_layer_that_breaks_an_equivariant_network_is_named():
    for odd in (1, 2):
        scores = es.measure(Blocks(odd), smooth(30), "rot90", scoring=es.Scoring(measures=ALL))
        lost = scores.losses()
        assert lost["layer"].iloc[0] == f"blocks.{odd}" and lost["loses"].iloc[0] > 0.2
        assert lost["loses"].iloc[1:].max() < 1e-4 and set(lost["measure"]) == {"linear"}
        assert lost["loses_low"].iloc[0] > lost["loses_high"].iloc[1]
        from_image = scores.scores.query("measure == 'equivariance'").set_index("layer")
        assert from_image["explained"].iloc[odd + 1 : 4].max() < 0.9  # which does not tell


def with_odd_layer(network, odd):
    """A network of steerable filters, of which one layer moves all to the right by 1 position."""
    layer = getattr(network, f"layer{odd}")
    layer[0].padding = (0, 0)
    setattr(network, f"layer{odd}", nn.Sequential(nn.ZeroPad2d((6, 4, 5, 5)), *layer))
    return network


def test_between_positions_channels_are_matched():
    """Under 45 degrees each orientation hands its map to the next one."""
    layers = ["layer1", "layer2", "layer3"]
    scoring = es.Scoring(measures=("equivariance", "alone_equivariance"))
    network = with_odd_layer(steerable_network(layers=3), 2)
    lost = es.measure(network, faded(20), es.rotation(45), layers=layers, scoring=scoring).losses()
    assert lost["layer"].iloc[0] == "layer2" and lost["loses"].iloc[0] > 0.03 > 0.01 > lost["loses"].iloc[1:].max()


@pytest.mark.filterwarnings("ignore:Layer .* fits best when moved")  # by 2 positions under a half turn
def test_between_positions_an_odd_layer_s_own_centre_is_found():
    """A layer that moves all by `v` must have its maps moved by `v - g v`; those that it hands them to need not."""
    layers = ["layer1", "layer2"]
    scoring = es.Scoring(measures=("invariance", "alone_invariance"), alignment="registered")
    network = with_odd_layer(isotropic_network(layers=2), 1)
    scores = es.measure(network, faded(32), es.rotation(45), layers=layers, scoring=scoring)
    own = scores.scores[scores.scores["measure"] == "alone_invariance"].set_index(["alignment", "layer"])
    np.testing.assert_allclose(
        own.loc[("registered", "layer1"), ["offset_y", "offset_x"]].astype(float), [0.5**0.5, 1 - 0.5**0.5], atol=0.1
    )
    np.testing.assert_allclose(own.loc[("registered", "layer2"), ["offset_y", "offset_x"]].astype(float), 0, atol=0.1)
    found = own["explained"]
    assert found["array", "layer1"] < found["registered", "layer1"] - 0.02 and found["registered"].min() > 0.97


def test_a_trained_equivariant_network_loses_nothing_in_any_layer(data):
    network = of_uva(data, "uva-gcnn-c4-mnist", 64, 4, False)
    scoring = es.Scoring(measures=("equivariance", "alone_invariance", "alone_equivariance"))
    scores = es.measure(network, digits(data, 20), es.rotations(), layers=["convs.*", "relus.*", "fc"], scoring=scoring)
    found = alone(scores, "alone_equivariance")
    np.testing.assert_allclose(found.drop("fc"), 1, atol=5e-4)
    assert len(found) == 11 and np.isnan(found["fc"]) and alone(scores, "alone_invariance")["convs.2"] < 0.8
    assert scores.manifest["alone_left_out"] == [
        {"layer": "fc", "reason": "its module is given a vector, which has no positions"}
    ]


def test_under_shifts_what_enters_is_what_the_shift_fills_with():
    """A convolution with circular padding commutes with shifts that wrap, and not with others; a 1 x 1 with all."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"), nn.Conv2d(4, 4, 1))
    scoring = es.Scoring(measures=("alone",))
    wrapped, zeros = (
        alone(es.measure(network, noise(12), es.shifts([2], fill=fill), layers=["0", "1"], scoring=scoring),
              "alone_invariance", "shifts") for fill in ("wrap", "zero")
    )  # fmt: skip
    np.testing.assert_allclose(wrapped, 1, atol=1e-5)
    assert zeros["0"] < 0.99 and zeros["1"] == pytest.approx(1, abs=1e-5)


# --- networks as they are


class Tokens(nn.Module):
    """Patches as tokens behind a class token; or, with the same weights, as a map."""

    def __init__(self, *, as_map=False):
        super().__init__()
        torch.manual_seed(0)
        self.as_map = as_map
        self.patches, self.token = nn.Conv2d(3, 6, 2, stride=2), nn.Parameter(torch.randn(1, 1, 6))
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(6, 6), nn.ReLU()) for _ in range(2))
        if as_map:
            for block in self.blocks:
                linear, block[0] = block[0], nn.Conv2d(6, 6, 1)
                block[0].weight.data, block[0].bias.data = linear.weight[:, :, None, None], linear.bias

    def forward(self, images):
        maps = self.patches(images)
        if not self.as_map:
            maps = torch.cat([self.token.expand(len(images), -1, -1), maps.flatten(2).mT], 1)
        for block in self.blocks:
            maps = block(maps)
        return maps[:, 0]


def test_tokens_are_moved_as_a_map_is():
    layers = es.Layers(["blocks.*"], layouts={"blocks.*": "tokens:4x4+1"})
    scoring = es.Scoring(measures=ALL)
    found, expected = (
        es.measure(model, noise(12, 3, 8), FAMILIES, layers=of, scoring=scoring).scores
        for model, of in ((Tokens(), layers), (Tokens(as_map=True), "blocks.*"))
    )
    assert not expected["explained"].isna().any()
    values = ["score", "explained", "chance"]
    np.testing.assert_allclose(found[values], expected[values], atol=1e-4)


class Awkward(nn.Module):
    """Modules that cannot be called again: one that counts its calls, one of two tensors; and one that can."""

    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.calls = 0

        def forward(self, maps):
            self.calls += 1
            return maps * self.calls

    class Remembering(nn.Module):
        def forward(self, maps):
            self.maps = maps
            return maps.relu()

    class Sum(nn.Module):
        def forward(self, one, other):
            return one + other

    def __init__(self):
        super().__init__()
        self.first, self.counting, self.sum = nn.Conv2d(3, 3, 3, padding=1), self.Counting(), self.Sum()
        self.remembering, self.last = self.Remembering(), nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, images):
        self.counting.calls = 0
        maps = self.sum(self.counting(self.first(images)), images)
        maps = self.remembering(maps)
        return self.last(maps + self.remembering.maps)


def test_what_cannot_be_called_again_is_left_out_with_the_reason_and_changes_nothing():
    network, images = Awkward(), noise(12)
    layers = ["first", "counting", "sum", "remembering", "last"]
    plain = es.measure(network, images, layers=layers, scoring=es.Scoring(measures=LADDER)).scores
    scores = es.measure(network, images, layers=layers, scoring=es.Scoring(measures=ALL))
    reasons = {one["layer"]: one["reason"] for one in scores.manifest["alone_left_out"]}
    assert set(reasons) == {"counting", "sum", "remembering"}
    assert "gives something else" in reasons["counting"] and "given 2 tensors" in reasons["sum"]
    assert "the network gives something else" in reasons["remembering"]
    assert any(one.startswith("Not measured alone: sum (") for one in scores.manifest["remarks"])
    assert alone(scores, "alone_linear").isna().tolist() == [False, True, True, True, False]
    of_image = scores.scores[scores.scores["measure"].isin(LADDER)].reset_index(drop=True)
    columns = ["score", "explained", "low", "high"]
    np.testing.assert_array_equal(of_image[columns], plain[columns])


def test_hooks_of_others_and_the_network_s_state_are_as_they_were():
    network, seen = Blocks().train(), []
    network.blocks[1].register_forward_hook(lambda *_: seen.append(1))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    es.measure(network, noise(12, 1), scoring=es.Scoring(measures=("alone",)))
    assert network.training and len(network.blocks[1]._forward_hooks) == 1 and not network.pool._forward_hooks
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


# --- runs


@pytest.mark.filterwarnings("ignore:Layer .* fits best when moved")
def test_batches_passes_and_stopping_change_nothing(tmp_path):
    model, images = small_network(), noise(22)
    scoring = es.Scoring(measures=("alone_equivariance", "alone_linear"), alignment="registered", registration_images=8)

    def found(**options):
        table = es.measure(model, images, "rot90,rot30,shifts:1", layers=["2", "3"], scoring=scoring, **options).scores
        return table.sort_values(["layer", "transformation", "measure", "alignment", "subpixel"])

    whole = found()
    values = ["score", "low", "high", "explained", "held_out", "chance", "offset_y", "offset_x"]
    for options in ({"batch_size": 5}, {"run": es.Run(memory=5e-5)}):
        np.testing.assert_allclose(found(**options)[values], whole[values], atol=2e-5)
    interrupted = iter([None] * 3)  # two batches that are registered on, and one that is scored

    class Stopping:
        def advance(self, images):
            if next(interrupted, "stop") == "stop":
                raise KeyboardInterrupt

    run = es.Run(checkpoint=tmp_path / "state", checkpoint_every=0)
    with pytest.raises(KeyboardInterrupt):
        found(run=run, progress=Stopping(), batch_size=20)
    assert (tmp_path / "state").exists()
    resumed = found(run=replace(run, resume=True), batch_size=20)
    np.testing.assert_allclose(resumed[values], whole[values], atol=2e-5)
    own = whole[(whole["alignment"] == "registered") & (whole["transformation"] == "rot90") & (whole["layer"] == "2")]
    offsets = own.set_index("measure")[["offset_y", "offset_x"]]
    assert offsets.loc["alone_linear"].notna().all()


def test_alone_is_spelled_out_and_a_metric_refuses_it():
    assert es.Scoring(measures=["invariance", "alone"]).measures == ("invariance", *ALONE)
    with pytest.raises(ValueError, match="alone_linear needs"):
        es.Scoring(measures=["alone"], similarity="cosine")
    torchmetrics = pytest.importorskip("equiscope.integrations.torchmetrics")
    with pytest.raises(ValueError, match="calls modules again"):
        torchmetrics.EquivarianceMetric(scoring=es.Scoring(measures=["alone"]))
