"""Which configuration, split and column of a data set are read: those asked for, or those that can be told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from equiscope.system.errors import OptionError

SPLITS = ("test", "validation", "train")
COLUMNS = frozenset(("image", "img"))


@dataclass(frozen=True)
class Wanted:
    """What of a data set is asked for.

    Attributes:
        place: Its name or folder, as the user writes it.
        configuration: None: its default.
        split: None: test, validation or train, whichever is there first.
        column: None: the one with images.
        limit: At most so many images; None for all.
        seed: Of their order; None: as they come.
    """

    place: str
    configuration: str | None
    split: str | None
    column: str | None
    limit: int | None
    seed: int | None

    @property
    def written(self) -> str:
        """The data set as the user writes it, up to its split."""
        return self.place if self.configuration is None else f"{self.place}/{self.configuration}"

    def chosen_split(self, splits: Sequence[str]) -> str:
        """The split that is wanted, or else the first of test, validation and train, or the only one."""
        split = self.split
        if split is None:
            split = next((one for one in SPLITS if one in splits), splits[0] if len(splits) == 1 else None)
        if split is None or split not in splits:
            name = repr(self.written)
            what = f"which split of {name} to read is not clear" if split is None else f"{name} has no split {split!r}"
            raise ValueError(f"{what}: write {' or '.join(f'{self.written}:{one}' for one in splits)}")
        return split

    def chosen_column(self, images: Sequence[str], columns: Mapping[str, Any]) -> str:
        """The column that is wanted, or else the only one with images, or the only one of them that says so."""
        if self.column is not None and self.column not in images:
            what = "holds no images" if self.column in columns else "is not there"
            raise OptionError(
                "{column}{given!r} {what} in the data set {place!r}: columns with images are {images}",
                given=self.column, what=what, place=self.written, images=", ".join(images) or "none",
            )  # fmt: skip
        if self.column is not None:
            return self.column
        if not images:
            kinds = ", ".join(f"{name} ({type(kind).__name__})" for name, kind in columns.items())
            raise ValueError(
                f"the data set {self.written!r} has no column of images, but one is needed: it has {kinds}"
            )
        named = images if len(images) == 1 else [one for one in images if one.lower() in COLUMNS]
        if len(named) != 1:
            raise OptionError(
                "the data set {place!r} has several columns of images ({images}): name one, as in {column}{first}",
                place=self.written, images=", ".join(images), first=images[0],
            )  # fmt: skip
        return named[0]


@dataclass(frozen=True)
class Choices:
    """What was chosen of a data set, and among what."""

    configuration: str | None
    configurations: Sequence[str]
    split: str
    splits: Sequence[str]
    column: str
    columns: Sequence[str]

    def told(self, wanted: Wanted) -> tuple[str, ...]:
        """A sentence on what was chosen without being asked for; none where there was no choice."""
        parts = [
            f"{kind} {chosen} (of {', '.join(among)})"
            for kind, asked, chosen, among in (
                ("configuration", wanted.configuration, self.configuration, self.configurations),
                ("split", wanted.split, self.split, self.splits),
                ("column", wanted.column, self.column, self.columns),
            )
            if asked is None and len(among) > 1
        ]
        return (f"Of the data set {wanted.written!r} is read: {', '.join(parts)}.",) if parts else ()
