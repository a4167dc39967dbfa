"""Completion in the shell: the words are the library's, and they come without the library."""

import inspect
import os
import subprocess
import sys

import pytest

from equiscope.commands.completion import WORDS
from equiscope.functional.matching import NEGATIVES
from equiscope.functional.similarity import SIMILARITIES
from equiscope.functional.transformations import FILLS, SUBCELLS
from equiscope.integrations.loggers import KINDS
from equiscope.measurement.layer_record import ALIGNMENTS
from equiscope.measurement.planning import PRECISIONS
from equiscope.networks.catalogue import CATALOGUE
from equiscope_studies import figures
from equiscope_studies.training_study import STUDIES
from terminal import equiscope


def test_the_words_are_what_the_library_knows():
    tables = {
        "alignment": ALIGNMENTS, "fill": FILLS, "negative": NEGATIVES, "precision": PRECISIONS,
        "similarity": SIMILARITIES, "study": STUDIES, "subcell": SUBCELLS,
        "model": [*CATALOGUE, "timm:", "torchvision:", "transformers:"], "log": [f"{kind}:" for kind in KINDS],
        "figure": [name.removeprefix("figure") for name, _ in inspect.getmembers(figures) if name[:-1] == "figure"],
    }  # fmt: skip
    for name, table in tables.items():
        assert WORDS[name] == tuple(table), name


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("equiscope me", {"measure"}),
        ("equiscope measure efficientnet-lite", {f"efficientnet-lite{size}" for size in range(3)}),
        ("equiscope layers tor", {"torchvision:"}),
        ("equiscope measure x --transformations ", set(WORDS["transformations"])),
        ("equiscope measure x --similarity c", {"cosine"}),
        ("equiscope measure x --fill ", set(FILLS)),
        ("equiscope measure x --weights my", set()),
        ("equiscope study a", {"augmentation", "architecture"}),
        ("equiscope measure x --check", {"--checkpoint-every"}),
    ],
)
def test_what_is_offered(typed, offered):
    words = typed.split(" ")
    shell = {"_EQUISCOPE_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(words) - 1)}
    script = (
        "import sys\nfrom equiscope.commands.cli import main\nsys.argv = ['equiscope']\n"
        "try:\n    main()\nfinally:\n    assert 'torch' not in sys.modules and 'pandas' not in sys.modules\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | shell, capture_output=True, text=True, check=True
    )
    assert set(answer.stdout.split()) == offered


def test_the_script_for_a_shell_is_shown_and_the_help_is_not_cluttered(monkeypatch):
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    shown = subprocess.run(
        [sys.executable, "-m", "equiscope", "--show-completion", "bash"], capture_output=True, text=True, check=True
    )
    assert "_EQUISCOPE_COMPLETE=complete_bash" in shown.stdout
    text = equiscope("--help").out
    assert "--show-completion" not in text and text.count("--install-completion") == 1
