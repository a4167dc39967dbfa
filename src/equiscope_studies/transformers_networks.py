"""Small networks of the package transformers, one of each kind of image classifier, with random weights: for the audit.

A line is a configuration: of few channels and few layers, for images of so many pixels.
"""

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import nn

_NARROW = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
_PLAIN = {"image_size": 64, "patch_size": 8, **_NARROW}
_STAGES = {"hidden_sizes": [8, 16, 24, 32], "depths": [2, 2, 2, 2]}
_HEADS = {"num_attention_heads": [1, 2, 3, 4]}
_WINDOWS = {"image_size": 64, "window_size": 4, "embed_dim": 16, "depths": [2, 2, 2], "num_heads": [2, 4, 4]}

CONFIGURATIONS: Mapping[str, Mapping[str, Any]] = {
    "Beit": {**_PLAIN, "use_relative_position_bias": True},
    "Bit": {"embedding_size": 8, "num_groups": 4, **_STAGES},
    "ConvNext": {"image_size": 64, **_STAGES},
    "ConvNextV2": {"image_size": 64, **_STAGES},
    "Cvt": {"embed_dim": [8, 16, 32], "num_heads": [1, 2, 4], "depth": [1, 2, 3]},
    "Data2VecVision": _PLAIN,
    "DeiT": _PLAIN,
    "Dinov2": {"image_size": 64, "patch_size": 8, **{key: _NARROW[key] for key in list(_NARROW)[:3]}},
    "Dinov2WithRegisters": {"image_size": 64, "patch_size": 8, **{key: _NARROW[key] for key in list(_NARROW)[:3]}},
    "EfficientNet": {"image_size": 64, "width_coefficient": 0.3, "depth_coefficient": 0.5, "hidden_dim": 384},
    "FocalNet": {"image_size": 64, "embed_dim": 16, "depths": [2, 2, 2, 2]},
    "Hiera": {"image_size": (64, 64), "embed_dim": 16, "depths": [1, 2, 2, 1], "num_heads": [1, 2, 4, 8],
              "masked_unit_size": (8, 8), "num_query_pool": 2},
    "IJepa": _PLAIN,
    "Levit": {"image_size": 64, "hidden_sizes": [16, 24, 32], "num_attention_heads": [1, 2, 2], "depths": [2, 2, 2],
              "key_dim": [8, 8, 8]},
    "MobileNetV2": {"image_size": 64, "depth_multiplier": 0.35},
    "MobileViT": {"image_size": 64, "hidden_sizes": [16, 24, 32], "neck_hidden_sizes": [8, 8, 8, 16, 16, 16, 32]},
    "PoolFormer": {**_STAGES},
    "Pvt": {"image_size": 64, **_STAGES, **_HEADS},
    "PvtV2": {"image_size": 64, **_STAGES, **_HEADS},
    "RegNet": {"embedding_size": 8, "groups_width": 8, **_STAGES},
    "ResNet": {"embedding_size": 8, "layer_type": "basic", **_STAGES},
    "Segformer": {**_STAGES, **_HEADS},
    "SwiftFormer": {"image_size": 64, "embed_dims": [8, 16, 24, 32], "depths": [2, 2, 2, 2]},
    "Swin": _WINDOWS,
    "Swinv2": _WINDOWS,
    "ViT": _PLAIN,
    "ViTMSN": _PLAIN,
}  # fmt: skip


def transformers_networks() -> Mapping[str, Callable[[], nn.Module]]:
    """The networks by name; none where transformers is not installed."""
    if importlib.util.find_spec("transformers") is None:
        return {}
    return {name: partial(_network, name) for name in CONFIGURATIONS}


def _network(name: str) -> nn.Module:
    transformers: Any = importlib.import_module("transformers")  # whose types are in part missing
    configuration = getattr(transformers, f"{name}Config")(**CONFIGURATIONS[name])
    network: nn.Module = getattr(transformers, f"{name}ForImageClassification")(configuration)
    return network
