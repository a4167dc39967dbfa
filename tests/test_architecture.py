"""The shape of the code: imports point one way and run in no circle, the guest uses public names, and importing
changes nothing."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

import equiscope
import equiscope_studies

SOURCE = Path(equiscope.__file__).parent
GUEST = Path(equiscope_studies.__file__).parent
# Each room imports only from the rooms before it, and from itself.
ROOMS = (
    "system", "functional", "images", "networks", "results", "measurement", "figures", "page", "integrations",
    "commands",
)  # fmt: skip
# What a guest may use besides the names of `equiscope.__all__`: what is defined in these, without an underscore.
PUBLIC_MODULES = {
    "equiscope.figures.marks",  # intervals and chance levels in a panel of one's own
    "equiscope.figures.style",  # how every figure looks
    "equiscope.images.data_sets",  # data sets loaded without a word on the terminal
    "equiscope.networks.cifar_resnet",  # an architecture without weights
    "equiscope.results.columns",  # the contract of the tables
    "equiscope.results.shares",  # what stays, swaps, mixes and is lost
    "equiscope.results.folder",  # the contract of the output folder
    "equiscope.results.rows",  # rows of the tables, by their labels
    "equiscope.system.errors",  # errors that name an option
    "equiscope.system.files",  # files that are complete or absent
    "equiscope.system.output_folder",  # and folders of them
    "equiscope.system.progress",  # progress bars
}
DRAWERS = {"base", "common", "core", "helpers", "lib", "misc", "tools", "util", "utils"}

FILES = sorted(SOURCE.rglob("*.py"))
GUESTS_FILES = sorted(GUEST.rglob("*.py"))


def name_of(path):
    """The module of a file."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path, *, at_import=False):
    """The modules that a file imports, with the names taken from each; `at_import`: only as it is itself imported."""
    for node in _at_import(ast.parse(path.read_text())) if at_import else ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield node.module, [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)


def _at_import(node):
    """What runs when a file is imported: nothing in functions, and nothing for type checkers alone."""
    for child in ast.iter_child_nodes(node):
        checked = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not checked:
            yield child
            yield from _at_import(child)


def room_of(module):
    parts = module.split(".")
    return parts[1] if parts[0] == "equiscope" and len(parts) > 1 else None


def graph(files):
    """Which files each file imports when it is imported."""
    modules = {name_of(path): path for path in files}
    found = {}
    for module, path in modules.items():
        wanted = found.setdefault(module, set())
        for other, names in imports(path, at_import=True):
            inner = {f"{other}.{name}" for name in names} & set(modules)
            wanted |= inner or ({other} & set(modules))
    return found


def circles(edges):
    """The strongly connected components of more than one module."""
    names = sorted(edges)
    matrix = np.array([[other in edges[name] for other in names] for name in names])
    _, component = connected_components(csr_array(matrix), connection="strong")
    groups = [[name for name, of in zip(names, component, strict=True) if of == number] for number in set(component)]
    return [group for group in groups if len(group) > 1]


# --- rooms


def test_the_package_is_its_rooms_and_no_loose_module():
    there = {path.name for path in SOURCE.iterdir()} - {"__pycache__", "py.typed"}
    assert there == {*ROOMS, "__init__.py", "__main__.py"}
    assert not set(ROOMS) & set(equiscope.__all__)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_room_imports_only_from_rooms_before_it(path):
    own = room_of(name_of(path))
    if own is None or own == "__main__":
        return
    for module, _ in imports(path):
        other = room_of(module)
        if module == "equiscope":
            assert own == "commands", f"{name_of(path)} imports the whole of equiscope"
        elif other is not None and other != own:
            assert ROOMS.index(other) < ROOMS.index(own), f"{name_of(path)} imports {module}"
        assert not module.startswith("equiscope_studies"), f"{name_of(path)} imports the guest"


def test_functional_knows_no_other_room_but_system():
    for path in (SOURCE / "functional").rglob("*.py"):
        rooms = {room_of(module) for module, _ in imports(path)}
        assert rooms <= {None, "functional", "system"}, path


def test_no_file_imports_itself_in_a_circle():
    assert circles(graph(FILES)) == []
    assert circles(graph(GUESTS_FILES)) == []


def test_circles_are_found():
    edges = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}
    assert circles(edges) == [["b", "c"]]


def test_results_are_read_without_torch():
    modules = [name_of(path) for path in FILES if room_of(name_of(path)) == "results"]
    script = f"import sys, {', '.join(modules)}\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_no_module_is_a_drawer():
    names = {part for path in (*FILES, *GUESTS_FILES) for part in name_of(path).split(".")}
    assert not names & DRAWERS


def test_every_room_has_a_line_in_contributing():
    text = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()
    assert [room for room in ROOMS if f"| `{room}/` |" not in text] == []


# --- the guest


@pytest.mark.parametrize("path", GUESTS_FILES, ids=name_of)
def test_the_guest_uses_public_names_only(path):
    assert list(not_public(path)) == []


def not_public(path):
    """What a file uses of equiscope that is not public."""
    for module, names in imports(path):
        if module == "equiscope":
            yield from (name for name in names if name not in equiscope.__all__)
        elif module.startswith("equiscope."):
            yield from (f"{module}.{name}" for name in names or [""] if not is_public(module, name))
    for node in ast.walk(ast.parse(path.read_text())):
        of_es = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "es"
        if of_es and node.attr not in equiscope.__all__:
            yield f"es.{node.attr}"


def is_public(module, name):
    """Whether a name of a module is its own and for everyone."""
    if module not in PUBLIC_MODULES or not name or name.startswith("_"):
        return False
    return getattr(getattr(import_module(module), name), "__module__", module) in (module, "typing", "builtins")


def test_what_is_not_public_is_found(tmp_path):
    file = tmp_path / "guest.py"
    file.write_text(
        "import equiscope as es\nfrom equiscope import measure\nfrom equiscope.measurement.loop import measure\n"
        "from equiscope.figures.style import _STYLE, Figure\nimport equiscope.results.rows\nes.measure, es.networks\n"
    )
    assert list(not_public(file)) == [
        "equiscope.measurement.loop.measure", "equiscope.figures.style._STYLE", "equiscope.figures.style.Figure",
        "equiscope.results.rows.", "es.networks",
    ]  # fmt: skip


def test_every_public_module_is_used_by_the_guest():
    used = {module for path in GUESTS_FILES for module, _ in imports(path)}
    assert used >= PUBLIC_MODULES


# --- effects


def test_importing_changes_nothing():
    script = (
        "import sys, threading, logging, random, numpy, torch\n"
        "drawn = random.getstate(), str(numpy.random.get_state())\n"
        "state, threads = torch.get_rng_state(), threading.active_count()\n"
        "level = logging.getLogger().level\n"
        "forward = torch.nn.Module.__call__\n"
        "import equiscope\n"
        "[getattr(equiscope, name) for name in equiscope.__all__ if not name.startswith('plot')]\n"
        "assert drawn == (random.getstate(), str(numpy.random.get_state()))\n"
        "import equiscope_studies.figures, equiscope_studies.commands\n"
        "assert torch.equal(state, torch.get_rng_state())\n"
        "assert threads == threading.active_count() and level == logging.getLogger().level\n"
        "assert forward is torch.nn.Module.__call__\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_every_public_name_is_there():
    assert sorted(equiscope.__all__) == equiscope.__all__
    assert all(getattr(equiscope, name).__doc__ for name in equiscope.__all__)
