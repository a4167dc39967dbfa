"""Figure 6b: is a wider network less equivariant?

The paper's section 4.5: a WideResNet-40 of four widths on CIFAR-10, with no augmentation and no drop-out, measured
under diagonal shifts. `small`: six runs of a WideResNet-10 of three widths, on one CPU core of one to eight minutes.
"""

from dataclasses import replace

from equiscope_studies.training.presets import Study
from equiscope_studies.training.seeds import HIGHER, NO_DIFFERENCE, Difference, Score, SeedClaim, pairwise
from equiscope_studies.training.studies import augmentation

PAPER = replace(
    augmentation.PAPER, networks=tuple(f"wide-resnet40-{width}" for width in (1, 2, 4, 8)), augmentations=("none",)
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

NAMES = {network: f"width {network.rpartition('-')[2]}" for preset in (PAPER, SMALL) for network in preset.networks}


def _narrower_is_higher(networks: tuple[str, ...], part: str) -> tuple[Difference, ...]:
    """Each network less the next wider one."""
    return tuple(
        Difference(f"{NAMES[one]} less {NAMES[other]}", Score(one, part), Score(other, part))
        for one, other in zip(networks, networks[1:], strict=False)
    )


CLAIMS = tuple(
    claim
    for preset in (PAPER, SMALL)
    for claim in (
        *(
            SeedClaim(
                f"wider is less equivariant in {part}", "shifts", HIGHER, _narrower_is_higher(preset.networks, part)
            )
            for part in ("early", "middle", "late")
        ),
        SeedClaim(
            "final is alike in invariance, whatever the width",
            "shifts",
            NO_DIFFERENCE,
            pairwise(preset.networks, ("final",), NAMES, "invariance"),
        ),
        SeedClaim(
            "final is alike in equivariance, whatever the width",
            "shifts",
            NO_DIFFERENCE,
            pairwise(preset.networks, ("final",), NAMES),
        ),
    )
)

STUDY = Study(
    name="capacity",
    question="Figure 6b: is a wider network less equivariant?",
    varies="network",
    presets={"paper": PAPER, "small": SMALL},
    names=NAMES,
    claims=CLAIMS,
)
