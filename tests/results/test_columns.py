"""The contract of the tables: what the words are, and that a result keeps it."""

import pytest

from equiscope.results import columns
from example import assert_contract, example_scores, shuffled

KINDS = {
    "default": {},
    "all": {
        "measures": (*columns.LADDER, "strict_invariance"), "scopes": columns.SCOPES, "alignments": columns.ALIGNMENTS,
        "shifts": (1, 2, 3),
    },
    "few images": {"images": 5},
    "single transformations": {"families": {"hflip": ["hflip"]}, "shifts": ()},
}  # fmt: skip


def test_what_names_a_row_is_among_the_columns() -> None:
    assert columns.UNIQUE.keys() == columns.TABLES.keys()
    for table, names in columns.TABLES.items():
        assert len(set(names)) == len(names) and set(columns.UNIQUE[table]) <= set(names)
    assert not any("corrected" in name for names in columns.TABLES.values() for name in names)


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_the_example_of_these_tests_keeps_the_contract(options: dict[str, object]) -> None:
    scores = example_scores(**options)  # type: ignore[arg-type]
    for name, table in scores.to_pandas().items():
        assert list(table.columns[: len(columns.TABLES[name])]) == list(columns.TABLES[name])
    assert_contract(scores)
    assert_contract(shuffled(scores))
