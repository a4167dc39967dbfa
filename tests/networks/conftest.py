"""What the tests of networks share: seeded random weights, and a library without the tests' type checker."""

from collections.abc import Iterator

import jaxtyping
import pytest
import torch


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """Networks with the same random weights in whatever order the tests run."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture
def unchecked() -> Iterator[None]:
    """As users have it: without the checks of types that the tests put into every function."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
