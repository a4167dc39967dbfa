"""The Hugging Face hub, where there is a way to it."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from urllib.request import getproxies

PATIENCE = 5  # seconds for a connection


@contextmanager
def within_reach() -> Iterator[str | None]:
    """Why the hub cannot be reached, or None.

    Where it cannot, only what was fetched before is looked for while this is open: its own library tries for half a
    minute.
    """
    from huggingface_hub import constants

    hindrance = None if constants.HF_HUB_OFFLINE else _hindrance(constants.ENDPOINT)
    if hindrance is None:
        yield None
        return
    constants.HF_HUB_OFFLINE = True
    try:
        yield hindrance
    finally:
        constants.HF_HUB_OFFLINE = False


def wanted_offline() -> bool:
    """Whether only what was fetched before is looked for, as the user wants it, or while the hub is out of reach."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def _hindrance(address: str) -> str | None:
    where = urlsplit(address)
    if where.hostname is None or where.scheme in getproxies():
        return None  # only its library can tell
    try:
        socket.create_connection((where.hostname, where.port or 443), PATIENCE).close()
    except OSError as error:
        return f"{where.hostname} cannot be reached: {error.strerror or error}"
    return None
