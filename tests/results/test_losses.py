"""Which layer loses it: the layers, ranked by what they lose alone."""

import numpy as np
import pytest

from drawn import NAMES, drawable, with_alone
from equiscope.results.losses import LOSS_COLUMNS
from example import shuffled


def test_the_layers_are_ranked_by_their_own_loss_family_by_family():
    scores = with_alone(drawable())
    table = shuffled(scores).losses()
    assert tuple(table.columns) == LOSS_COLUMNS
    assert table.drop_duplicates("transformation")[["transformation", "measure"]].values.tolist() == [
        ["rotations", "linear"], ["shifts", "equivariance"],
    ]  # fmt: skip
    for family in scores.families:
        rows = table[table["transformation"] == family]
        assert set(rows["layer"]) == {*NAMES, "pool"}  # the final vector was not measured alone
        assert rows["loses"].is_monotonic_decreasing
        chosen = (scores.scores["scope"] == "dataset") & (scores.scores["transformation"] == family)
        of_table = scores.scores[chosen].set_index(["layer", "measure", "subpixel"]).sort_index()
        for row in rows.to_dict("records"):
            its = of_table.loc[(row["layer"], f"alone_{row['measure']}")].iloc[-1]
            assert row["loses"] == 1 - row["alone"] == 1 - its["explained"]
            assert (row["loses_low"], row["loses_high"]) == (1 - its["explained_high"], 1 - its["explained_low"])
    one = scores.losses("rot90", measure="invariance")
    assert set(one["transformation"]) == {"rot90"} and set(one["measure"]) == {"invariance"}


def test_layers_that_lose_alike_stand_in_order_of_execution():
    scores = with_alone(drawable())
    alone = scores.scores["measure"] == "alone_linear"
    rounding = np.arange(len(scores.scores)) * 1e-9
    scores.scores["explained"] = scores.scores["explained"].where(~alone, 0.5 - rounding)
    assert scores.losses("rotations")["layer"].tolist() == [*NAMES, "pool", "final"]


def test_a_result_without_layers_alone_says_what_to_measure():
    with pytest.raises(ValueError, match=r"not measured alone; measure with measures=invariance, .* and alone"):
        drawable().losses()
    with pytest.raises(ValueError, match="transformation='rot45' is not known"):
        with_alone(drawable()).losses("rot45")
