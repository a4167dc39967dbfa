"""Figure 6b: is a wider network less equivariant?

The paper's section 4.5: a WideResNet-40 of four widths on CIFAR-10, with no augmentation and no drop-out, measured
under diagonal shifts. `small`: WideResNets of depth 10 whose maps are half as high and wide.
"""

from dataclasses import replace

from equiscope_studies.training.presets import Study
from equiscope_studies.training.seeds import HIGHER, NO_DIFFERENCE, SeedClaim, raised
from equiscope_studies.training.studies import augmentation

PAPER = replace(
    augmentation.PAPER, networks=tuple(f"wide-resnet40-{width}" for width in (1, 2, 4, 8)), augmentations=("none",)
)
SMALL = replace(
    augmentation.SMALL,
    networks=tuple(f"wide-resnet10-{width}-half" for width in (1, 2, 4, 8)),
    augmentations=("none",),
)

NAMES = {network: f"width {network.split('-')[2]}" for preset in (PAPER, SMALL) for network in preset.networks}
MAPS = ("early", "middle", "late")


def _doubled(networks: tuple[str, ...]) -> tuple[SeedClaim, ...]:
    """Each network against the next wider one."""
    return tuple(
        SeedClaim(f"{NAMES[one]} is more equivariant than {NAMES[other]}", "shifts", HIGHER, raised(one, other, MAPS))
        for one, other in zip(networks, networks[1:], strict=False)
    )


def _claims(networks: tuple[str, ...]) -> tuple[SeedClaim, ...]:
    return (
        SeedClaim(
            f"{NAMES[networks[0]]} is more equivariant than {NAMES[networks[-1]]}",
            "shifts",
            HIGHER,
            raised(networks[0], networks[-1], MAPS),
        ),
        *_doubled(networks),
        *(
            SeedClaim(
                f"{measure} in the end is alike, whatever the width",
                "shifts",
                NO_DIFFERENCE,
                raised(networks[0], networks[-1], ("final",), measure),
            )
            for measure in ("invariance", "equivariance")
        ),
    )


CLAIMS = _claims(PAPER.networks) + _claims(SMALL.networks)

STUDY = Study(
    name="capacity",
    question="Figure 6b: is a wider network less equivariant?",
    varies="network",
    presets={"paper": PAPER, "small": SMALL},
    names=NAMES,
    claims=CLAIMS,
    families=("shifts",),
)
