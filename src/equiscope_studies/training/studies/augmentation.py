"""Figure 6a: which augmentation teaches a network translation equivariance?

The paper's section 4.4: a ResNet-44 on CIFAR-10 under one augmentation at a time, measured under diagonal shifts.
RandAugment comes a second time without its operations Translate and Rotate, which show the network what is then
measured. `small` adds random rotations, measures rotations and flips too, and trains a WideResNet of depth 10 and width
2 whose maps are half as high and wide, until random crops no longer lower the accuracy.
"""

from dataclasses import replace

from equiscope.results.columns import PARTS
from equiscope_studies.training.presets import Preset, Study
from equiscope_studies.training.seeds import (
    EQUAL,
    HIGHER,
    NO_DIFFERENCE,
    NOT_HIGHER,
    Difference,
    Score,
    SeedClaim,
    apart,
    raised,
)

PAPER = Preset(
    networks=("cifar-resnet44",),
    data=("cifar10",),
    augmentations=("none", "crops", "flips", "cutmix", "randaugment", "randaugment-static"),
    optimiser="sgd",
    learning_rate=0.1,
    momentum=0.9,
    weight_decay=0.0001,
    batch=128,
    epochs=200,
    milestones=(100, 150),
    seeds=3,
    measured_images=2000,
    shifts=tuple(range(1, 17)),
)
SMALL = replace(
    PAPER,
    networks=("wide-resnet10-2-half",),
    augmentations=(*PAPER.augmentations, "rotations"),
    schedule="one-cycle",
    learning_rate=0.2,
    precision="bfloat16",
    weight_decay=0.0005,
    label_smoothing=0.1,
    batch=256,
    epochs=12,
    milestones=(),
    seeds=6,
    measured_images=1000,
    measure_every=3,
    rotations=True,
    flips=True,
)

NAMES = {
    "none": "none",
    "crops": "random crops",
    "flips": "flips",
    "cutmix": "CutMix",
    "randaugment": "RandAugment",
    "randaugment-static": "RandAugment without Translate and Rotate",
    "rotations": "rotations",
}
AFTER_EARLY = ("middle", "late", "final")
OF_THE_PAPER = ("none", "crops", "flips", "cutmix", "randaugment")

CLAIMS = (
    SeedClaim("random crops raise equivariance", "shifts", HIGHER, raised("crops", "none", AFTER_EARLY)),
    SeedClaim("RandAugment raises equivariance", "shifts", HIGHER, raised("randaugment", "none", AFTER_EARLY)),
    SeedClaim("horizontal flips do nothing", "shifts", NO_DIFFERENCE, raised("flips", "none", PARTS)),
    SeedClaim("CutMix does not raise equivariance", "shifts", NOT_HIGHER, raised("cutmix", "none", PARTS)),
    SeedClaim(
        "CutMix lowers equivariance",
        "shifts",
        HIGHER,
        (Difference("none less CutMix, middle", Score("none", "middle"), Score("cutmix", "middle")),),
    ),
    *(
        SeedClaim(f"{NAMES[one]}: invariance equals equivariance", "shifts", EQUAL, apart((one,), PARTS, NAMES))
        for one in OF_THE_PAPER
    ),
    SeedClaim(
        "RandAugment raises equivariance without its Translate and Rotate too",
        "shifts",
        HIGHER,
        raised("randaugment-static", "none", AFTER_EARLY),
        beyond=True,
    ),
    SeedClaim(
        "Translate and Rotate raise equivariance, over RandAugment without them",
        "shifts",
        HIGHER,
        raised("randaugment", "randaugment-static", AFTER_EARLY),
        beyond=True,
    ),
    SeedClaim(
        "rotations in training raise equivariance",
        "rotations",
        HIGHER,
        raised("rotations", "none", PARTS),
        beyond=True,
    ),
    SeedClaim("flips in training raise equivariance", "flips", HIGHER, raised("flips", "none", PARTS), beyond=True),
)

STUDY = Study(
    name="augmentation",
    question="Figure 6a: which augmentation teaches a network translation equivariance?",
    varies="augmentation",
    presets={"paper": PAPER, "small": SMALL},
    names=NAMES,
    claims=CLAIMS,
    families=("shifts",),
)
