"""Completion in the shell: the words are the library's."""

import inspect
from dataclasses import fields

import pytest

from equiscope.commands import completion, plot
from equiscope.commands.main import main
from equiscope.figures.comparison import BY
from equiscope.figures.kinds import KINDS
from equiscope.figures.selection import VALUES
from equiscope.functional.transformation_names import FAMILIES, SINGLE, named
from equiscope.functional.transformations import FILLS, SUBPIXELS
from equiscope.networks.catalogue import CATALOGUE
from equiscope.results.columns import MEASURES
from terminal import equiscope


def test_the_words_are_what_the_library_knows():
    assert (*CATALOGUE, "timm:", "torchvision:", "transformers:") == completion.MODELS
    assert (completion.FILLS, completion.SUBPIXELS) == (FILLS, SUBPIXELS)
    *names, shifts, rotations, rot30, scalings = completion.TRANSFORMATIONS
    assert [*FAMILIES, *SINGLE] == names
    assert [one.name for one in named(",".join((shifts, rotations, rot30, scalings)))] == [
        "shifts", "rotations", "rot30", "scalings"]  # fmt: skip
    assert (tuple(KINDS), tuple(VALUES)) == (plot.KINDS, plot.VALUES)
    (by,) = (one for one in fields(plot.DrawnOptions) if one.name == "by")
    assert by.metadata["words"] == BY


def test_the_loggers_are_those_of_the_library():
    from equiscope.integrations.loggers import KINDS

    assert tuple(f"{kind}:" for kind in KINDS) == completion.LOGGERS


def test_the_words_of_the_studies_are_those_of_the_studies():
    from equiscope_studies import commands, figures
    from equiscope_studies.training.study import STUDIES

    drawn = [name[6:].lstrip("_") for name, _ in inspect.getmembers(figures) if name.startswith("figure")]
    assert (tuple(drawn), tuple(STUDIES)) == (commands.FIGURES, commands.STUDIES)


@pytest.fixture
def ending(monkeypatch, capsys):
    """What a command line prints that ends the process at once."""

    def printed(*typed, **environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("sys.argv", ["equiscope", *typed])
        with pytest.raises(SystemExit, match="0"):
            main()
        return capsys.readouterr().out

    return printed


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("equiscope me", {"measure", "metrics"}),
        ("equiscope st", {"study"}),
        ("equiscope measure efficientnet-lite", {f"efficientnet-lite{size}" for size in range(3)}),
        ("equiscope layers tor", {"torchvision:"}),
        ("equiscope measure x --transformations ", set(completion.TRANSFORMATIONS)),
        ("equiscope measure x --similarity c", {"cosine"}),
        ("equiscope measure x --measures ", {*MEASURES, "alone"}),
        ("equiscope measure x --scope i", {"image"}),
        ("equiscope measure x --fill ", set(FILLS)),
        ("equiscope measure x --subpixel ", set(SUBPIXELS)),
        ("equiscope measure x --weights my", set()),
        ("equiscope measure x --log w", {"wandb:"}),
        ("equiscope compare x --scope i", {"image"}),
        ("equiscope measure x --check", {"--checkpoint-every"}),
        ("equiscope plot x --kind c", {"channels", "comparison"}),
        ("equiscope study a", {"augmentation", "architecture"}),
        ("equiscope study data --preset ", {"small", "paper"}),
        ("equiscope figure ", {"2", "3", "4", "7", "lost"}),
    ],
)
def test_what_is_offered(typed, offered, ending):
    place = str(len(typed.split(" ")) - 1)
    assert set(ending(_EQUISCOPE_COMPLETE="complete_bash", COMP_WORDS=typed, COMP_CWORD=place).split()) == offered


def test_the_script_for_a_shell_is_shown_and_the_help_is_not_cluttered(ending):
    shown = ending("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert "_EQUISCOPE_COMPLETE=complete_bash" in shown
    text = equiscope("--help").out
    assert "--show-completion" not in text and text.count("--install-completion") == 1
