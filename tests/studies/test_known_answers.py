"""Figure 3: what is built into a network is found, and the page says so where it is not."""

from equiscope_studies import known_answers


def test_what_is_built_in_is_found(of_figure3):
    table, page = of_figure3
    rows = known_answers.of_network
    assert rows(table, "isotropic", "score", measure="invariance")["value"].min() > 1 - 1e-4
    assert rows(table, "cornered", "score", measure="equivariance")["value"].min() > 1 - 1e-4
    assert rows(table, "cornered", "score", measure="invariance")["value"].max() < 0.7
    assert rows(table, "cornered", "law")["value"].min() > 1 - 1e-4
    assert rows(table, "strided", "score", measure="invariance", pixels=225)["value"].min() > 1 - 1e-4
    assert rows(table, "strided", "score", measure="invariance", pixels=224)["value"].max() < 1 - 1e-2
    assert page.count("as it must be") == 2
    assert "all 72 partners" in page
    assert page.count("The chance level, that of mismatched image pairs") == 2
    assert "`equiscope figure 3 --images 4 --seed 0 --output OUTPUT`" in page


def test_the_page_says_so_where_a_number_is_not_what_it_must_be(of_figure3):
    table = of_figure3[0].copy()
    cornered = (table["network"] == "cornered") & (table["kind"] == "score") & (table["measure"] == "equivariance")
    table.loc[cornered, "value"] = 0.98
    table.loc[(table["network"] == "cornered") & (table["kind"] == "partner") & (table["channel"] == 2), "value"] = 2.0
    page = known_answers.page(table)
    assert "The lowest equivariance is 0.980, and must be 1: the measure does not find it" in page
    assert "18 of 72 partners are not those of this 4-cycle" in page
