"""The Hugging Face hub, where there is a way to it."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import responses
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


def refusal(error: BaseException) -> str | None:
    """What the hub refused, and what to do where that is known; None where it was not the hub that refused.

    What its library says begins with the number of an answer of HTTP, and other libraries wrap that.
    """
    from huggingface_hub import errors

    chain: list[BaseException] = []
    inner: BaseException | None = error
    while inner is not None and all(inner is not one for one in chain):
        chain.append(inner)
        inner = inner.__cause__ or inner.__context__
    refused = next((one for one in reversed(chain) if isinstance(one, errors.HfHubHTTPError)), None)
    match refused:
        case None:
            return None
        case errors.GatedRepoError():
            return "access to it is restricted: ask for it on its page of the hub, then log in (hf auth login)"
        case errors.RepositoryNotFoundError():
            return "the hub has none of that name, or it is private: check the name, or log in (hf auth login)"
        case errors.RevisionNotFoundError():
            return "the hub has no such revision of it"
        case errors.RemoteEntryNotFoundError():
            return "the hub has no such file of it"
    status = refused.response.status_code
    return f"the hub answered {status} ({responses.get(status, 'unknown')})" + ": try later" * (status >= 429)
