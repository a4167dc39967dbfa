"""Figure 5: does equivariance in the data teach a network equivariance?

The paper's section 4.3: a network of seven layers on digits that are upright (MNIST6), turned with the same classes
(MNIST6-Rot-Inv), or turned with the turn in the class (MNIST6-Rot-Eq), measured under quarter turns on the images of
its own data set and, all three alike, on upright ones. `small`: nine runs of two to three minutes on one CPU core.
"""

from dataclasses import replace

from equiscope.studies.presets import Preset, Study

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
SMALL = replace(PAPER, epochs=8, milestones=(2, 4), validation=2000)

STUDY = Study(
    name="data",
    question="Figure 5: does equivariance in the data teach a network equivariance?",
    varies="data",
    presets={"paper": PAPER, "small": SMALL},
    names={"mnist6": "MNIST6", "mnist6-rot-inv": "MNIST6-Rot-Inv", "mnist6-rot-eq": "MNIST6-Rot-Eq"},
)
