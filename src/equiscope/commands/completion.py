"""What a shell completes on the command line; apart from the library, whose import would take longer than the typing.

A test holds these words to what the library knows.
"""

from collections.abc import Callable, Iterable

MODELS = (
    "cifar-resnet20", "cifar-resnet32", "cifar-resnet44", "cifar-resnet56", "efficientnet-lite0",
    "efficientnet-lite1", "efficientnet-lite2", "tf_efficientnet_b6.aa_in1k", "tf_efficientnet_b6.ns_jft_in1k",
    "tf_efficientnet_b7.aa_in1k", "tf_efficientnet_b7.ns_jft_in1k", "resnext101_32x8d.IMAGENET1K_V1",
    "resnext101_32x8d.IMAGENET1K_V2", "inception_v3.IMAGENET1K_V1", "vit_base_patch16_224.augreg_in21k_ft_in1k",
    "vit_base_patch16_224.orig_in21k_ft_in1k", "mixer_b16_224.goog_in21k_ft_in1k", "timm:", "torchvision:",
    "transformers:",
)  # fmt: skip
DEVICES = ("auto", "cpu", "cuda", "mps")
IMAGES = ("photographs",)
LOGGERS = ("tensorboard:", "wandb:")
FILLS = ("zero", "reflect", "wrap", "crop")
SUBPIXELS = ("linear", "exact", "round")
TRANSFORMATIONS = (
    "rotations", "flips", "d4", "identity", "rot90", "rot180", "rot270", "hflip", "vflip", "transpose",
    "antitranspose", "shifts:1,2,4,8", "rotations:15", "rot30", "scalings:1.25,2,1/2",
)  # fmt: skip
WEIGHTS = ("random",)


def words(known: Iterable[str]) -> Callable[[str], list[str]]:
    """The words that complete what has been typed; where none does, the shell tries names of files.

    >>> words(MODELS)("efficientnet-lite")
    ['efficientnet-lite0', 'efficientnet-lite1', 'efficientnet-lite2']
    """

    def completed(incomplete: str) -> list[str]:
        return [word for word in known if word.startswith(incomplete)]

    return completed
