"""What all tests share: where the real data is, and in which of them each call's types and shapes are checked."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import jaxtyping
import pytest

TESTS = Path(__file__).parent
# Checking takes longer than computing, so it is done where tensors are handled with their shapes, and in the examples
# of docstrings, which call all that is public.
TYPES_CHECKED = (TESTS / "functional", TESTS / "images")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Check the types of each call in some folders of tests alone."""
    checked = any(item.path.is_relative_to(folder) for folder in TYPES_CHECKED)
    jaxtyping.config.update("jaxtyping_disable", not checked)
    try:
        return (yield)
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data: `EQUISCOPE_DATA`, or `shared/data` beside the project."""
    folder = Path(os.environ.get("EQUISCOPE_DATA", TESTS.parents[1] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set EQUISCOPE_DATA")
    return folder


@pytest.fixture
def unchecked() -> Iterator[None]:
    """The functions as users have them."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)
