"""The options that all figures have in common: which rows of the tables are drawn, and which of their columns."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from equiscope.figures.marks import LEAST_COST, Value
from equiscope.results.columns import ALIGNMENTS, MEASURES, SCOPES
from equiscope.results.measures import TABLE
from equiscope.results.rows import measures_in, overall
from equiscope.results.scores import Scores
from equiscope.system.errors import OptionError, known

VALUES = {  # what can be drawn of a score
    "score": Value("score", ("low", "high"), "chance", "ceiling"),
    "explained": Value("explained", ("explained_low", "explained_high"), None, "explained_ceiling"),
    "in_sample": Value("in_sample", None, "chance", "ceiling"),
}
WITHOUT_IN_SAMPLE = tuple(name for name, measure in TABLE.items() if not measure.in_sample)
VALUES_IN_WORDS = {"score": "score", "explained": "explained variance", "in_sample": "in-sample score"}
SCOPES_IN_WORDS = {"dataset": "over all images", "image": "within each image, then averaged"}


@dataclass(frozen=True)
class Selection:
    """The options of a figure, checked: OptionError for one that is unknown."""

    scope: str = "dataset"
    transformation: str | None = None
    measure: str | None = None
    alignment: str = "array"
    value: str = "score"

    def __post_init__(self) -> None:
        known("scope", self.scope, SCOPES)
        known("value", self.value, VALUES)
        if self.measure is not None:
            known("measure", self.measure, MEASURES)
        if self.value == "explained" and self.scope == "image":
            raise OptionError("{value}explained is not defined within images; give {scope}dataset.")
        if self.value == "in_sample" and self.measure in WITHOUT_IN_SAMPLE:
            raise OptionError("{value}in_sample is not defined for {measure}{given}.", given=self.measure)

    def rows(self, table: pd.DataFrame, transformations: str | Iterable[str], measure: str) -> pd.DataFrame:
        """One measure's rows of a table under one transformation or several."""
        names = [transformations] if isinstance(transformations, str) else list(transformations)
        wanted = {"scope": self.scope, "measure": measure, "alignment": self.alignment}
        chosen = (table[list(wanted)] == pd.Series(wanted)).all(axis=1)
        return overall(table[chosen & table["transformation"].isin(names)])

    def families(self, scores: Scores) -> list[str]:
        """The one transformation or family selected, or every family that has what is drawn.

        OptionError for what was not measured.
        """
        _check_measured("alignment", known("alignment", self.alignment, ALIGNMENTS), scores.scores)
        _check_measured("scope", self.scope, scores.scores)
        measured = self.measured(scores)
        if self.transformation is None:
            families = [family for family in scores.families if family in measured]
        else:
            families = [known("transformation", self.transformation, measured)]
        if self.measure is not None:
            _check_measured("measure", self.measure, self._rows_of(scores, families))
        found = [family for family in families if self.measures(scores, [family])]
        if not found:
            raise OptionError("{value}{given!r} is not defined for the measures of this result.", given=self.value)
        return found

    def measured(self, scores: Scores) -> list[str]:
        """The transformations and families that have rows of the scope and alignment, families first."""
        table = scores.scores
        there = table.loc[(table["alignment"] == self.alignment) & (table["scope"] == self.scope), "transformation"]
        members = [name for of in scores.manifest["options"]["transformations"].values() for name in of]
        rows = set(there)
        return [name for name in dict.fromkeys([*scores.families, *members]) if name in rows]

    def measures(self, scores: Scores, families: Sequence[str]) -> list[str]:
        """The measures that the families have, or the one selected where they have it."""
        found = measures_in(self._rows_of(scores, families))
        undefined = WITHOUT_IN_SAMPLE if self.value == "in_sample" else ()
        return [measure for measure in found if self.measure in (None, measure) and measure not in undefined]

    def has_chance(self, scores: Scores, families: Sequence[str]) -> bool:
        """Whether a chance level is drawn for any of the families."""
        rows = self._rows_of(scores, families)
        rows = rows[rows["measure"].isin(self.measures(scores, families))]
        return self.columns.chance is not None and bool(rows["chance"].notna().any())

    def has_ceiling(self, scores: Scores, families: Sequence[str]) -> bool:
        """Whether interpolation costs any of the families something, so that a ceiling is drawn."""
        shown = list(dict.fromkeys(one for family in families for one in (family, *members(scores, family))))
        rows = self._rows_of(scores, shown)
        rows = rows[rows["measure"].isin(self.measures(scores, shown))]
        return bool((rows["ceiling"] <= 1 - LEAST_COST).any())

    def _rows_of(self, scores: Scores, families: Sequence[str]) -> pd.DataFrame:
        table = scores.scores
        chosen = (table["alignment"] == self.alignment) & (table["scope"] == self.scope)
        return table[chosen & table["transformation"].isin(families)]

    @property
    def columns(self) -> Value:
        """The columns that are drawn."""
        return VALUES[self.value]

    @property
    def label(self) -> str:
        """What is written along the axis of the scores."""
        return VALUES_IN_WORDS[self.value]

    def in_words(self) -> list[str]:
        """The options as the small print has them."""
        words = [f"scope {self.scope} ({SCOPES_IN_WORDS[self.scope]})"]
        if self.alignment == "registered":
            words.append("each layer transformed about its own centre (registered)")
        if self.value == "explained":
            words.append("explained: share of a channel's variance, on held-out images")
        if self.value == "in_sample":
            words.append("in-sample: the best channel on the same images, which is biased upward")
        return words


def members(scores: Scores, family: str) -> list[str]:
    """The transformations of a family; a transformation itself."""
    return list(scores.manifest["options"]["transformations"].get(family, [family]))


def _check_measured(option: str, value: str, table: pd.DataFrame) -> None:
    names = list(dict.fromkeys(table[option]))
    if value not in names:
        sentence = "{" + option + "}{given!r} was not measured; there is {names}."
        raise OptionError(sentence, given=value, names=", ".join(names))
