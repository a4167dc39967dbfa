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


def _claims(networks: tuple[str, ...]) -> tuple[SeedClaim, ...]:
    """The narrowest network against the widest: a doubling of the width changes too little for some seeds to show."""
    narrow, wide = networks[0], networks[-1]
    return (
        SeedClaim(
            f"{NAMES[narrow]} is more equivariant than {NAMES[wide]}", "shifts", HIGHER, raised(narrow, wide, MAPS)
        ),
        *(
            SeedClaim(
                f"{measure} in the end is alike, whatever the width",
                "shifts",
                NO_DIFFERENCE,
                raised(narrow, wide, ("final",), measure),
            )
            for measure in ("invariance", "equivariance")
        ),
        SeedClaim(
            f"{NAMES[narrow]} and {NAMES[wide]} are alike before the end",
            "shifts",
            NO_DIFFERENCE,
            raised(narrow, wide, (*MAPS, "pool")),
            beyond=True,
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
