"""The words of Figure 2 follow from its numbers, and name no path."""

from equiscope_studies.mean_activation import numbers
from equiscope_studies.mean_activation.page import page


def test_the_page_says_what_the_numbers_say(of_figure2):
    table, words = of_figure2
    found = numbers.relation(table, "score", "invariance", "dataset", "pearson")
    assert f"{found['value']:.2f} ({found['low']:.2f} to {found['high']:.2f})" in words
    assert "0.63" in words and "0.11" in words  # the paper's
    assert "24 of the 10,000 images of DATA/cifar10:test" in words
    assert "weights: DATA/weights/resnet20-cifar10.safetensors, sha256 " in words
    assert "`equiscope figure 2 --data DATA --images 24 --seed 0 --output OUTPUT`" in words
    assert "/shared/data" not in words and "/shared/data" not in str(table.attrs)


def test_the_direction_follows_from_the_differences(of_figure2):
    table, _ = of_figure2
    is_difference = table["of"] == "difference"
    for value, sentence in ((0.5, "in 8 of 8 readings"), (-0.5, "in 0 of 8 readings")):
        changed = table.copy()
        changed.loc[is_difference, ["value", "low", "high"]] = value
        words = page(changed)
        assert sentence in words and ("unlike in the paper" in words) == (value < 0)
