"""All that decides how a network comes out of training, checked."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields

from equiscope_studies.choices import one_of
from equiscope_studies.training.augmentation import AUGMENTATIONS
from equiscope_studies.training.labelled import DATA_SETS
from equiscope_studies.training.networks import refuse_unknown

OPTIMISERS = ("sgd", "adam")
SCHEDULES = ("steps", "one-cycle")
PRECISIONS = ("float32", "bfloat16")
HASH = 12  # hexadecimal digits


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How a network is trained, whatever it is, and however it is drawn: what recipes and presets have in common.

    Attributes:
        optimiser: "sgd" (with momentum) or "adam".
        schedule: "steps": the learning rate is divided by 10 at each of the milestones; "one-cycle": it rises from 0
            over the first fifth of all steps, and falls to 0 over the others.
        learning_rate: The highest.
        weight_decay: The L2 penalty's factor.
        batch: Images in a step.
        milestones: Epochs that are finished when the learning rate falls in steps.
        label_smoothing: The share of each label that is spread evenly over all classes.
        precision: Of the forward and backward pass on a CPU: "float32", or "bfloat16" by autocast, as on a GPU always.
        limit: Training images; None: all.
        validation: Images that accuracy is measured on after each epoch; None: all.
        measure_every: Equivariance is measured before the first epoch, with estimated statistics of normalisation,
            and after each so many; 0: never.
        meanwhile: Images that it is then measured on.
        until: Validation accuracy at which training ends, however many epochs are left; None: never.
    """

    optimiser: str = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 0.0
    batch: int = 128
    epochs: int = 1
    milestones: tuple[int, ...] = ()
    schedule: str = "steps"
    label_smoothing: float = 0.0
    precision: str = "float32"
    limit: int | None = None
    validation: int | None = None
    measure_every: int = 0
    meanwhile: int = 300
    until: float | None = None

    def __post_init__(self) -> None:
        one_of("optimiser", self.optimiser, OPTIMISERS)
        one_of("schedule", self.schedule, SCHEDULES)
        one_of("precision", self.precision, PRECISIONS)
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing is {self.label_smoothing}, but it must be at least 0 and below 1.")
        if self.schedule != "steps" and self.milestones:
            raise ValueError(f"milestones are given, but the schedule {self.schedule} has none; give milestones=none.")
        for name, least in (("epochs", 1), ("batch", 2), ("measure_every", 0), ("meanwhile", 20)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}, but it must be at least {least}.")
        if self.limit is not None and self.limit < self.batch:
            raise ValueError(f"limit is {self.limit}, but a batch alone has {self.batch} images; give at least that.")
        if self.validation is not None and self.validation < 1:
            raise ValueError(f"validation is {self.validation}, but it must be at least 1.")
        if self.until is not None and not 0 < self.until <= 1:
            raise ValueError(f"until is {self.until}, but an accuracy lies above 0 and is at most 1.")


SCHEDULE = tuple(field.name for field in fields(Schedule))
WATCHING = ("measure_every", "meanwhile", "meanwhile_under")  # what is looked at, and changes nothing


@dataclass(frozen=True, kw_only=True)
class Recipe(Schedule):
    """All that decides how a network comes out: the same recipe on the same machine gives the same network.

    Attributes:
        network: A name that `networks.network` takes.
        data: A name of `labelled.DATA_SETS`.
        augmentation: As `augmentation.augmented` takes it.
        seed: Of the weights, the order of images and the augmentation.
        meanwhile_under: Families that it is measured under while it trains, as `measuring.families` reads them.
    """

    network: str
    data: str
    augmentation: str = "none"
    seed: int = 0
    meanwhile_under: tuple[str, ...] = ("rotations",)

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("data", self.data, DATA_SETS)
        for name in self.augmentation.split("+"):
            one_of("augmentation", name, AUGMENTATIONS)
        refuse_unknown(self.network)
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}, but it must be at least 0.")

    @property
    def hash(self) -> str:
        """The name of the run's folder.

        A value that is the field's default does not count, so that a new field leaves the old runs their names; nor
        does what is only measured on the way.

        >>> Recipe(network="z2cnn", data="mnist6").hash
        '24372c188d88'
        """
        changed = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name not in WATCHING and getattr(self, field.name) != field.default
        }
        return hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()[:HASH]

    def as_json(self) -> str:
        """The recipe as the run's folder keeps it."""
        return json.dumps(asdict(self), indent=2)
