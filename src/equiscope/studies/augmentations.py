"""Figure 6a: which augmentation teaches a network translation equivariance?

The paper's section 4.4: a ResNet-44 on CIFAR-10 under one augmentation at a time, measured under diagonal shifts.
RandAugment comes a second time without its operations Translate and Rotate, which show the network what is then
measured. `small`: twelve runs of a ResNet-8, each of about three minutes on one CPU core.
"""

from dataclasses import replace

from equiscope.studies.presets import Preset, Study

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

STUDY = Study(
    name="augmentation",
    question="Figure 6a: which augmentation teaches a network translation equivariance?",
    varies="augmentation",
    presets={"paper": PAPER, "small": SMALL},
    names={
        "none": "none",
        "crops": "random crops",
        "flips": "horizontal flips",
        "cutmix": "CutMix",
        "randaugment": "RandAugment",
        "randaugment-static": "RandAugment without Translate, Rotate",
    },
)
