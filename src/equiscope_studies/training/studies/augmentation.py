"""Figure 6a: which augmentation teaches a network translation equivariance?

The paper's section 4.4: a ResNet-44 on CIFAR-10 under one augmentation at a time, measured under diagonal shifts.
RandAugment comes a second time without its operations Translate and Rotate, which show the network what is then
measured. `small`: twelve runs of a ResNet-8, each of about three minutes on one CPU core.
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
    networks=("cifar-resnet8",),
    epochs=8,
    milestones=(4, 6),
    seeds=2,
    limit=15_000,
    validation=2000,
    measured_images=1000,
)

NAMES = {
    "none": "none",
    "crops": "random crops",
    "flips": "flips",
    "cutmix": "CutMix",
    "randaugment": "RandAugment",
    "randaugment-static": "RandAugment without Translate and Rotate",
}
AFTER_EARLY = ("middle", "late", "final")

CLAIMS = (
    SeedClaim("random crops raise middle, late and final", "shifts", HIGHER, raised("crops", "none", AFTER_EARLY)),
    SeedClaim(
        "RandAugment raises middle, late and final", "shifts", HIGHER, raised("randaugment", "none", AFTER_EARLY)
    ),
    SeedClaim("horizontal flips do nothing", "shifts", NO_DIFFERENCE, raised("flips", "none", PARTS)),
    SeedClaim("CutMix does not raise any part", "shifts", NOT_HIGHER, raised("cutmix", "none", PARTS)),
    SeedClaim(
        "CutMix lowers middle",
        "shifts",
        HIGHER,
        (Difference("none less CutMix, middle", Score("none", "middle"), Score("cutmix", "middle")),),
    ),
    *(
        SeedClaim(f"{NAMES[one]}: invariance equals equivariance", "shifts", EQUAL, apart((one,), PARTS, NAMES))
        for one in NAMES
        if one != "randaugment-static"
    ),
    SeedClaim(
        "RandAugment raises middle, late and final without its Translate and Rotate too",
        "shifts",
        HIGHER,
        raised("randaugment-static", "none", AFTER_EARLY),
        beyond=True,
    ),
    SeedClaim(
        "Translate and Rotate raise middle, late and final, over RandAugment without them",
        "shifts",
        HIGHER,
        raised("randaugment", "randaugment-static", AFTER_EARLY),
        beyond=True,
    ),
)

STUDY = Study(
    name="augmentation",
    question="Figure 6a: which augmentation teaches a network translation equivariance?",
    varies="augmentation",
    presets={"paper": PAPER, "small": SMALL},
    names=NAMES,
    claims=CLAIMS,
)
