"""What the tests of networks share: seeded random weights."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """Networks with the same random weights in whatever order the tests run."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
