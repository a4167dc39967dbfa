"""Figure 6b: is a wider network less equivariant?

The paper's section 4.5: a WideResNet-40 of four widths on CIFAR-10, with no augmentation and no drop-out, measured
under diagonal shifts. `small`: six runs of a WideResNet-10 of three widths, on one CPU core of one to eight minutes.
"""

from dataclasses import replace

from equiscope.studies import augmentations
from equiscope.studies.presets import Study

PAPER = replace(
    augmentations.PAPER, networks=tuple(f"wide-resnet40-{width}" for width in (1, 2, 4, 8)), augmentations=("none",)
)
SMALL = replace(
    PAPER,
    networks=tuple(f"wide-resnet10-{width}" for width in (1, 2, 4)),
    epochs=8,
    milestones=(4, 6),
    seeds=2,
    limit=5000,
    validation=1000,
    measured_images=500,
)

STUDY = Study(
    name="capacity",
    question="Figure 6b: is a wider network less equivariant?",
    varies="network",
    presets={"paper": PAPER, "small": SMALL},
    names={
        network: f"width {network.rpartition('-')[2]}" for preset in (PAPER, SMALL) for network in preset.networks
    },
)
