"""Figure 5: does equivariance in the data teach a network equivariance?

The paper's section 4.3: a network of seven layers on digits that are upright (MNIST6), rotated with the same classes
(MNIST6-Rot-Inv), or rotated with the rotation in the class (MNIST6-Rot-Eq), measured under rotations on the images of
its own data set and, all three alike, on upright ones. `small`: fifteen runs of two to three minutes on one CPU core.
"""

from dataclasses import replace

from equiscope_studies.training.presets import Preset, Study
from equiscope_studies.training.seeds import (
    HIGHER,
    NOT_WELL_APART,
    WELL_ABOVE,
    Difference,
    Score,
    SeedClaim,
    apart,
    pairwise,
    through,
)

PAPER = Preset(
    networks=("z2cnn",),
    data=("mnist6", "mnist6-rot-inv", "mnist6-rot-eq"),
    optimiser="adam",
    learning_rate=0.01,
    weight_decay=0.0005,
    batch=128,
    epochs=100,
    milestones=(25, 50),
    seeds=3,
    measured_on=("own", "mnist6"),
    measured_images=2000,
    rotations=True,
)
SMALL = replace(PAPER, epochs=8, milestones=(2, 4), validation=2000, seeds=5)

NAMES = {"mnist6": "MNIST6", "mnist6-rot-inv": "Rot-Inv", "mnist6-rot-eq": "Rot-Eq"}


def _pooled(condition: str, part: str) -> Difference:
    return Difference(f"{part} less late", Score(condition, part), Score(condition, "late"))


CLAIMS = (
    *(
        SeedClaim(
            f"{NAMES[data]}: equivariance falls with depth, from early to middle to late",
            "rotations",
            HIGHER,
            through(data, ("early", "middle", "late"), NAMES),
        )
        for data in NAMES
    ),
    *(
        SeedClaim(
            f"{NAMES[data]}: it goes on falling until final, into pool",
            "rotations",
            HIGHER,
            through(data, ("late", "pool"), NAMES),
        )
        for data in NAMES
    ),
    *(
        SeedClaim(
            f"no difference between the three data sets in {part}",
            "rotations",
            NOT_WELL_APART,
            pairwise(NAMES, (part,), NAMES),
        )
        for part in ("early", "middle")
    ),
    *(
        SeedClaim(
            f"{NAMES[data]}: pooling raises it, as the task demands",
            "rotations",
            HIGHER,
            (_pooled(data, "pool"), _pooled(data, "final")),
        )
        for data in ("mnist6-rot-inv", "mnist6-rot-eq")
    ),
    SeedClaim(
        "equivariance is well above invariance in early", "rotations", WELL_ABOVE, apart(NAMES, ("early",), NAMES)
    ),
    SeedClaim(
        "equivariance is well above invariance in middle", "rotations", WELL_ABOVE, apart(NAMES, ("middle",), NAMES)
    ),
)

STUDY = Study(
    name="data",
    question="Figure 5: does equivariance in the data teach a network equivariance?",
    varies="data",
    presets={"paper": PAPER, "small": SMALL},
    names=NAMES,
    claims=CLAIMS,
    families=("rotations",),
    by="layer",
)
