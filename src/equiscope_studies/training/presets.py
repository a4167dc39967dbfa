"""A training study: what varies, at which size, and as which runs."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from itertools import product
from typing import Any

from equiscope_studies.choices import one_of
from equiscope_studies.results import markdown
from equiscope_studies.training.measuring import Measuring
from equiscope_studies.training.recipe import SCHEDULE, Recipe, Schedule
from equiscope_studies.training.seeds import SeedClaim


@dataclass(frozen=True, kw_only=True)
class Preset(Schedule):
    """The size of a study: every combination of networks, data sets, augmentations and seeds is a run.

    Attributes:
        seeds: How many; they are 0, 1, 2, ...
        measured_on, measured_images, scopes: As in `Measuring`.
        rotations, flips: Whether these are measured.
        shifts: Pixels along the diagonal that are measured; none: no shifts.
    """

    networks: tuple[str, ...]
    data: tuple[str, ...]
    augmentations: tuple[str, ...] = ("none",)
    seeds: int = 3
    measured_on: tuple[str, ...] = ("own",)
    measured_images: int = 2000
    scopes: tuple[str, ...] = ("dataset", "image")  # the paper's equations are of single images
    rotations: bool = False
    flips: bool = False
    shifts: tuple[int, ...] = ()

    @property
    def measuring(self) -> Measuring:
        """What is measured of each network when it is trained."""
        exact = tuple(name for name in ("rotations", "flips") if getattr(self, name))
        shifted = (f"shifts:{','.join(map(str, self.shifts))}",) if self.shifts else ()
        return Measuring(self.measured_on, self.measured_images, exact + shifted, self.scopes)

    def recipes(self) -> Iterator[Recipe]:
        """The runs, seed by seed, so that a study that is not finished has all conditions with fewer seeds."""
        shared: dict[str, Any] = {name: getattr(self, name) for name in SCHEDULE}
        if self.measure_every:
            shared["meanwhile_under"] = self.measuring.transformations
        for seed, network, data, augmentation in product(
            range(self.seeds), self.networks, self.data, self.augmentations
        ):
            yield Recipe(network=network, data=data, augmentation=augmentation, seed=seed, **shared)

    @classmethod
    def read(cls, name: str, text: str) -> Any:
        """The value that a text means for a name; ValueError where it means none.

        >>> Preset.read("shifts", "1,2,4"), Preset.read("limit", "all"), Preset.read("learning_rate", "0.05")
        ((1, 2, 4), None, 0.05)
        """
        types = {field.name: str(field.type) for field in fields(cls)}
        if name not in types:
            raise ValueError(f"There is no value {name!r} to change; there are {', '.join(types)}.")
        its = types[name]
        if "None" in its and text in ("all", "none"):
            return None
        kind = next(kind for kind in (bool, int, float, str) if kind.__name__ in its)
        try:
            if its.startswith("tuple"):
                return tuple(kind(one.strip()) for one in text.split(",") if one.strip())
            return {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
        except (ValueError, KeyError):
            raise ValueError(f"{name}={text!r} is no value of the kind {kind.__name__}.") from None

    def changed(self, changes: Mapping[str, Any]) -> "Preset":
        """The preset with other values; where only `epochs` is given, the milestones move in proportion.

        ValueError where there is no value of that name.
        """
        names = [field.name for field in fields(self)]
        for name in changes:
            if name not in names:
                raise ValueError(f"There is no value {name!r} to change; there are {', '.join(names)}.")
        changes = dict(changes)
        if "epochs" in changes and "milestones" not in changes:
            changes["milestones"] = tuple(round(one * changes["epochs"] / self.epochs) for one in self.milestones)
        if changes.get("seeds", 1) < 1:
            raise ValueError(f"seeds is {changes['seeds']}, but at least 1 is needed.")
        return replace(self, **changes)


@dataclass(frozen=True)
class Study:
    """A question, what varies to answer it, how much of it is done, and what the paper says.

    Attributes:
        varies: The field of `Recipe` whose values are the conditions that are compared.
        names: The conditions' values and how figures call them, in the order drawn.
        families: Of transformations that the question is about.
        by: Whether scores are drawn by "part" of the network, or by "layer", where all conditions have the same.
    """

    name: str
    question: str
    varies: str
    presets: Mapping[str, Preset]
    names: Mapping[str, str]
    claims: tuple[SeedClaim, ...]
    families: tuple[str, ...]
    by: str = "part"

    def conditions(self, found: Iterable[str]) -> dict[str, str]:
        """Those of the conditions found that are compared, in the order drawn, and how figures call them."""
        ordered = dict.fromkeys(found)
        known = {one: name for one, name in self.names.items() if one in ordered}
        return known | {one: one for one in ordered if one not in known}

    def refuse_mixed(self, preset: Preset) -> None:
        """ValueError where more varies than what the study compares, so that a condition were not one thing."""
        for field, values in {"network": "networks", "data": "data", "augmentation": "augmentations"}.items():
            several = getattr(preset, values)
            if field != self.varies and len(several) != 1:
                raise ValueError(
                    f"The study {self.name} compares one {self.varies} with another, so that it needs one value of "
                    f"{values}, and {len(several)} are given: {', '.join(several)}."
                )

    def preset(self, name: str) -> Preset:
        """A preset by its name; ValueError where there is none."""
        return self.presets[one_of("preset", name, self.presets)]


def differences(one: Preset, other: Preset) -> list[tuple[str, str, str]]:
    """The values in which two presets differ: name, and what it is in each."""
    first, second = asdict(one), asdict(other)
    return [(name, _in_words(first[name]), _in_words(second[name])) for name in first if first[name] != second[name]]


def table_of_differences(*studies: Study) -> str:
    """What the preset `small` changes of `paper` in each of the studies, as one table."""
    rows = [
        [study.name, *row] for study in studies for row in differences(study.presets["paper"], study.presets["small"])
    ]
    return markdown(["study", "value", "paper", "small"], rows)


def _in_words(value: Any) -> str:
    if value is None:
        return "all"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)
