"""Networks compiled, quantised, exported, sharded, in ensembles: measured like others, or named with the reason."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import equiscope as es
from equiscope.networks.layers import find_layers
from features import images


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
    ).eval()


def scores_of(model, **options):
    return es.measure(model, images(6, 16), es.flips(), **options).scores


def by_block(model):
    model[0].compile(backend="eager")
    model[2].compile(backend="eager")


def by_forward(model):
    model[2].forward = torch.compile(model[2].forward, backend="eager")
    model.forward = torch.compile(model.forward, backend="eager")


@pytest.mark.parametrize("compiled", [by_block, by_forward])
@pytest.mark.parametrize("warm", [False, True])
def test_compiled_parts_are_measured_uncompiled_and_stay_compiled(compiled, warm):
    model = network()
    expected = scores_of(model)
    compiled(model)
    if warm:
        with torch.no_grad():
            model(images(2, 16))
    implementation = model[2]._compiled_call_impl, vars(model[2]).get("forward")
    assert scores_of(model).equals(expected)
    assert implementation == (model[2]._compiled_call_impl, vars(model[2]).get("forward"))
    assert [layer.name for layer in find_layers(model, (3, 16, 16)).measured] == ["0", "1", "2", "3", "5"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_quantised_activations_are_dequantised():
    from torch.ao import quantization

    model = quantization.QuantWrapper(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3))).eval()
    plain = scores_of(model, layers=["module.0", "module.1", "module.2"])
    torch.backends.quantized.engine = (
        "qnnpack" if "fbgemm" not in torch.backends.quantized.supported_engines else "fbgemm"
    )
    model.qconfig = quantization.get_default_qconfig(torch.backends.quantized.engine)
    prepared = quantization.prepare(model)
    prepared(images(6, 16))
    found = scores_of(quantization.convert(prepared), layers=["module.0", "module.1", "module.2"])
    assert (found["score"] - plain["score"]).abs().max() < 0.1 and found["score"].notna().all()


def test_an_exported_network_is_named_or_measured_where_it_has_modules():
    program = torch.export.export(network(), (images(2, 16),), dynamic_shapes=({0: torch.export.Dim("images", min=2)},))
    with pytest.raises(ValueError, match="is a graph that torch.export made, without modules.*unflatten"):
        find_layers(program.module(), (3, 16, 16))
    with pytest.raises(ValueError, match="is a graph that torch.export made"):
        scores_of(program.module())
    whole = nn.Sequential(nn.Conv2d(3, 3, 1), program.module())  # which refuses eval() and train()
    assert list(scores_of(whole, layers=["0"])["layer"].unique()) == ["0"]


def test_a_sharded_network_is_measured_and_comes_back():
    import torch.distributed as dist
    from torch.distributed.fsdp import fully_shard

    model = network()
    expected = scores_of(model)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        mesh = dist.init_device_mesh("cpu", (1,))
        fully_shard(model[2], mesh=mesh)
        fully_shard(model, mesh=mesh)
        types = [type(parameter) for parameter in model.parameters()]
        found = scores_of(model)
        assert found["score"].to_numpy() == pytest.approx(expected["score"].to_numpy(), abs=1e-5, nan_ok=True)
        assert [type(parameter) for parameter in model.parameters()] == types
        model(images(2, 16)).sum().backward()
    finally:
        dist.destroy_process_group()


class Ensemble(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.member = nn.Conv2d(3, 4, 3), nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU())
        self.head = nn.Conv2d(4, 4, 1)

    def forward(self, maps):
        weights = {name: torch.stack([value, -value]) for name, value in self.member.named_parameters()}
        members = torch.func.vmap(
            lambda each, maps: torch.func.functional_call(self.member, each, (maps,)), in_dims=(0, None)
        )
        return self.head(members(weights, self.stem(maps)).mean(0))


class Sparse(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.drop, self.head = nn.Conv2d(3, 4, 3), nn.Threshold(0, 0), nn.Conv2d(4, 4, 1)
        self.sparse = Sparsened()

    def forward(self, maps):
        return self.head(self.sparse(self.drop(self.stem(maps))).to_dense())


class Sparsened(nn.Module):
    def forward(self, maps):
        return maps.to_sparse()


@pytest.mark.parametrize(
    ("model", "left_out", "told"),
    [(Ensemble(), "member.0", "within torch.func"), (Sparse(), "sparse", r"features are sparse \(sparse_coo\)")],
    ids=["vmap", "sparse"],
)
def test_a_layer_that_cannot_be_read_is_left_out_with_the_reason(model, left_out, told):
    found = find_layers(model, (3, 16, 16), ["stem", left_out, "head"])
    assert [layer.name for layer in found.measured] == ["stem", "head"]
    assert [one.name for one in found.left_out] == [left_out] and told.replace("\\", "") in found.left_out[0].reason
    assert scores_of(model, layers=["stem", left_out, "head"])["score"].notna().any()


@pytest.mark.parametrize("normed", [parametrizations.weight_norm, parametrizations.spectral_norm])
def test_parametrisations_are_no_blocks(normed):
    plain = [layer.name for layer in find_layers(network(), (3, 16, 16)).measured]
    model = network()
    normed(model[0])
    normed(model[2])
    assert [layer.name for layer in find_layers(model, (3, 16, 16)).measured] == plain
    blocks = nn.Sequential(nn.Sequential(normed(nn.Conv2d(3, 4, 3)), nn.ReLU()), nn.Sequential(nn.ReLU()))
    assert [layer.name for layer in find_layers(blocks, (3, 16, 16)).measured][:2] == ["0", "1"]


def test_weight_norm_by_hooks_is_measured_as_without():
    model = network()
    expected = scores_of(model)["score"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        nn.utils.weight_norm(model[0])
    found = scores_of(model)["score"]
    assert found.to_numpy() == pytest.approx(expected.to_numpy(), abs=1e-4, nan_ok=True)


def test_a_layer_of_complex_numbers_is_left_out_with_the_reason():
    class Spectrum(nn.Module):
        def forward(self, maps):
            return torch.fft.fft2(maps)

    class Back(nn.Module):
        def forward(self, maps):
            return torch.fft.ifft2(maps).real

    scores = es.measure(nn.Sequential(nn.Conv2d(3, 4, 3), Spectrum(), Back()), images(6, 16), es.flips())
    assert list(scores.layers["layer"]) == ["0", "2"]
    assert [one["layer"] for one in scores.manifest["layers_left_out"]] == ["1"]
    assert "torch.view_as_real" in scores.manifest["layers_left_out"][0]["reason"]


def test_an_exported_program_is_no_network_by_itself():
    program = torch.export.export(nn.Sequential(network()), (images(2, 16),))
    with pytest.raises(ValueError, match=r"an exported program is none; give torch.export.unflatten\(program\)"):
        find_layers(program, (3, 16, 16))


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_numbers_of_another_type_by_default_change_nothing(kind):
    model, batch = nn.Sequential(nn.Conv2d(3, 40, 3), nn.ReLU()).to(kind), images(6, 16)
    found = []
    try:
        for default in (torch.float32, torch.float64):
            torch.set_default_dtype(default)
            found.append(es.measure(model, batch, es.flips()).scores["score"])
    finally:
        torch.set_default_dtype(torch.float32)
    assert found[1].to_numpy() == pytest.approx(found[0].to_numpy(), abs=1e-6)


class Flipped(nn.Module):
    """A network that calls itself on the mirrored image."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)

    def forward(self, maps, again=True):
        given = self.head(self.conv(maps).mean((2, 3)))
        return given + self(maps.flip(-1), again=False) if again else given


def test_a_network_that_calls_itself():
    found = find_layers(Flipped(), (3, 16, 16))
    names = [layer.name for layer in found.measured]
    assert {"conv", "conv#1"} <= set(names)
    scores = scores_of(Flipped(), layers=["conv", "conv#1"])
    assert scores["score"].notna().all()
    model = Flipped().eval()
    read = {}
    with torch.no_grad():
        from equiscope.networks.features import called, reading

        sources = {layer.name: layer.source for layer in find_layers(model, (3, 16, 16), "conv").measured}
        with reading(model, sources, lambda name, features: read.__setitem__(name, features.clone())):
            called(model, images(2, 16))
        assert torch.allclose(read["conv"], model.conv(images(2, 16)))
        assert torch.allclose(read["conv#1"], model.conv(images(2, 16).flip(-1)))


class Past(nn.Module):
    """A network that calls a module's `forward` itself."""

    def __init__(self):
        super().__init__()
        self.stem, self.past, self.never = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3)

    def forward(self, maps):
        return self.past.forward(self.stem(maps))


def test_a_module_that_is_called_past_its_call_is_said_to_be():
    with pytest.raises(ValueError, match=r"calls by its forward\(\), past what reads it.*self.past\(x\)"):
        find_layers(Past(), (3, 16, 16), "past")
    with pytest.raises(ValueError, match="'never' is a module that the network never calls"):
        find_layers(Past(), (3, 16, 16), "never")
    assert "forward" not in vars(Past().past)


def test_images_have_the_type_that_the_network_takes():
    model = nn.Sequential(nn.Conv2d(3, 4, 3).to(torch.bfloat16), nn.ReLU())
    model.scale = nn.Parameter(torch.ones(1))  # registered before, and of another type
    model._parameters.move_to_end("scale") if hasattr(model._parameters, "move_to_end") else None
    assert next(model.parameters()).dtype == torch.float32
    assert es.measure(model, images(6, 16), es.flips()).scores["score"].notna().all()
