"""Architecture, under control: is it the convolution that makes a network equivariant?

The networks of the paper's Figure 7 differ in size, data and training at once. Here a ConvMixer, a ViT and an MLP-Mixer
have the same patches of 4 x 4 pixels, the same number of blocks and about as many weights, and are trained on the same
images, each until it reaches the same accuracy: what is left is how a block mixes positions. `small`: fifteen runs
on MNIST6, of one to six minutes on one CPU core.
"""

from dataclasses import replace

from equiscope.results.columns import PARTS
from equiscope_studies.training.networks import kind
from equiscope_studies.training.presets import Preset, Study
from equiscope_studies.training.seeds import EQUAL, HIGHER, Difference, Score, SeedClaim, apart

PAPER = Preset(
    networks=("convmixer-656x9", "vit-192x9", "mixer-232x9"),
    data=("cifar10",),
    augmentations=("crops+flips",),
    optimiser="adam",
    learning_rate=0.001,
    batch=128,
    epochs=200,
    milestones=(100, 150),
    seeds=3,
    measured_images=2000,
    rotations=True,
    shifts=tuple(range(1, 17)),
    until=0.8,
)
SMALL = replace(
    PAPER,
    networks=("convmixer-152x6", "vit-48x6", "mixer-56x6"),
    data=("mnist6",),
    augmentations=("none",),
    learning_rate=0.002,
    batch=64,
    epochs=12,
    milestones=(8, 11),
    limit=20_000,
    validation=2000,
    measured_images=500,
    shifts=tuple(range(1, 9)),
    until=0.97,
    seeds=5,
)

NAMES = {
    network: {"CNN": "ConvMixer", "ViT": "ViT", "Mixer": "MLP-Mixer"}[kind(network)]
    for preset in (PAPER, SMALL)
    for network in preset.networks
}
BEFORE = ("early", "middle", "late")


def _above(first: str, others: tuple[str, ...], parts: tuple[str, ...]) -> tuple[Difference, ...]:
    return tuple(
        Difference(f"{NAMES[first]} less {NAMES[other]}, {part}", Score(first, part), Score(other, part))
        for part in parts
        for other in others
    )


def _claims(convolution: str, vit: str, mixer: str) -> tuple[SeedClaim, ...]:
    """The paper's claims of its Figure 7, of these three networks."""
    three = (convolution, vit, mixer)
    return (
        *(
            SeedClaim(
                f"translation: the CNN is above ViT and Mixer in {part}",
                "shifts",
                HIGHER,
                _above(convolution, (vit, mixer), (part,)),
                beyond=part == "late",
            )
            for part in BEFORE
        ),
        *(
            SeedClaim(
                f"translation, {NAMES[one]}: invariance equals equivariance",
                "shifts",
                EQUAL,
                apart((one,), PARTS, NAMES),
            )
            for one in three
        ),
        *(
            SeedClaim(
                f"rotation: the CNN is above ViT and Mixer in {part}",
                "rotations",
                HIGHER,
                _above(convolution, (vit, mixer), (part,)),
            )
            for part in BEFORE
        ),
        *(
            SeedClaim(
                f"rotation, {NAMES[one]}: early is more equivariant than invariant",
                "rotations",
                HIGHER,
                apart((one,), ("early",), NAMES),
            )
            for one in three
        ),
        SeedClaim(
            "rotation: ViT is the highest after pooling",
            "rotations",
            HIGHER,
            _above(vit, (convolution, mixer), ("pool", "final")),
        ),
    )


CLAIMS = _claims(*PAPER.networks) + _claims(*SMALL.networks)

STUDY = Study(
    name="architecture",
    question="Architecture, under control: is it the convolution?",
    varies="network",
    presets={"paper": PAPER, "small": SMALL},
    names=NAMES,
    claims=CLAIMS,
    families=("shifts", "rotations"),
)
