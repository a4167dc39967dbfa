"""A fixture: the functions as users have them, without the checks of types that the tests put into each."""

import jaxtyping
import pytest


@pytest.fixture
def unchecked():
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
