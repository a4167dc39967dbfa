"""The wheel: all files of the package and no others, and a command that works where only the wheel was installed."""

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from terminal import network_file, pictures

PROJECT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, PROJECT]
    subprocess.run(command, check=True, capture_output=True)
    (file,) = folder.iterdir()
    return file


def test_all_files_of_the_package_are_in_it_and_no_others(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    source = PROJECT / "src"  # the library, and the studies beside it
    files = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
    files = {name for name in files if "__pycache__" not in name}
    assert {"equiscope/py.typed", "equiscope/page/template.html", "equiscope/page/script/state.js"} <= files
    (about,) = {name.partition("/")[0] for name in names if ".dist-info/" in name}
    told = {f"{about}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")}
    assert names == files | told
    metadata = Parser().parsestr(zipfile.ZipFile(wheel).read(f"{about}/METADATA").decode())
    needed = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]
    assert any(line.startswith("torch") for line in needed) and not any("pytest" in line for line in needed)


def environment(folder, wheel, *options):
    """The programs of a new environment with the wheel in it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", *options, wheel]
    subprocess.run(install, check=True)
    return folder / "bin"


def ran(command, place):
    without = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run(command, cwd=place, env=without, capture_output=True, text=True, check=True).stdout


def check_it_works(programs, place):
    """The package is the one in the environment; its command answers, lists networks, and measures."""
    assert str(programs.parent) in ran(
        [programs / "python", "-c", "import equiscope; print(equiscope.__file__)"], place
    )
    assert ran([programs / "equiscope", "--version"], place).startswith("equiscope ")
    assert len(json.loads(ran([programs / "equiscope", "models", "--json"], place))) > 10
    network_file(place / "code")
    pictures(place / "pictures", good=3)
    measure = ["measure", "code/net.py:small", "--images", "pictures", "--size", "32", "--output", "out", "--quiet"]
    assert ran([programs / "equiscope", *measure], place) == "out\n"
    assert "</html>" in (place / "out" / "report.html").read_text()


def test_the_command_works_where_only_the_wheel_was_installed(wheel, tmp_path):
    programs = environment(tmp_path / "environment", wheel, "--no-deps", "--no-index")
    (libraries,) = (tmp_path / "environment").glob("lib/python*/site-packages")
    (libraries / "dependencies.pth").write_text(sysconfig.get_path("purelib"))  # those of this environment
    check_it_works(programs, tmp_path)


@pytest.mark.slow
def test_the_command_works_in_an_empty_environment_with_what_the_wheel_asks_for(wheel, tmp_path):
    check_it_works(environment(tmp_path / "environment", wheel), tmp_path)
