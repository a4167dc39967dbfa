"""The shape of the code: imports point one way, and importing changes nothing."""

import ast
import subprocess
import sys
from pathlib import Path

import equiscope

SOURCE = Path(equiscope.__file__).parent
# Each part imports only from parts before it (and from itself).
ORDER = [
    "functional",
    "files",
    "hub",
    "data",
    "batches",
    "progress",
    "models",
    "processes",
    "provenance",
    "streaming",
    "layer_record",
    "recording",
    "passes",
    "registration",
    "maps",
    "orbits",
    "reader",
    "budget",
    "planning",
    "checkpoint",
    "scores",
    "style",
    "plots",
    "report",
    "folder",
    "comparison",
    "labelled_array",
    "measurement",
    "estimation",
    "during_training",
    "lightning_callback",
    "loggers",
    "torchmetrics_metric",
    "studies",
    "completion",
    "arguments",
    "cli",
]
LAZY = {("scores", "folder"), ("scores", "labelled_array")}  # `Scores.save` draws; measuring does not need to


def part_of(module):
    return module.split(".")[1] if module.startswith("equiscope.") else None


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_imports_point_one_way():
    for path in SOURCE.rglob("*.py"):
        own = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        if own.startswith("__"):
            continue
        for module in imports(path):
            other = part_of(module)
            if other is None or other == own or (own, other) in LAZY:
                continue
            assert ORDER.index(other) < ORDER.index(own), f"{path.name} imports {module}"


def test_functional_knows_torch_and_nothing_of_ours_elsewhere():
    for path in (SOURCE / "functional").glob("*.py"):
        ours = [module for module in imports(path) if module.startswith("equiscope")]
        assert all(module.startswith("equiscope.functional") for module in ours), path


def test_no_module_bears_the_name_of_a_public_function_and_none_is_a_drawer():
    modules = {path.stem for path in SOURCE.rglob("*.py")}
    assert not modules & set(equiscope.__all__)
    assert not modules & {"utils", "helpers", "misc", "base", "common"}


def test_importing_changes_nothing():
    script = (
        "import random, sys, threading, warnings, logging, torch\n"
        "state, threads = torch.get_rng_state(), threading.active_count()\n"
        "filters, level = list(warnings.filters), logging.getLogger().level\n"
        "forward = torch.nn.Module.__call__\n"
        "import equiscope\n"
        "assert torch.equal(state, torch.get_rng_state())\n"
        "assert threads == threading.active_count() and level == logging.getLogger().level\n"
        "assert forward is torch.nn.Module.__call__\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_every_module_has_a_line_in_contributing():
    told = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()
    names = {path.name + "/" * path.is_dir() for path in SOURCE.iterdir() if not path.name.startswith("_")}
    assert not [name for name in names - {"py.typed"} if f"`{name}`" not in told]
