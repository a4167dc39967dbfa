"""Names that stand for something, checked."""

from collections.abc import Iterable


def one_of(what: str, name: str, choices: Iterable[str]) -> str:
    """The name, where it is one of the choices; else a ValueError that lists them.

    >>> one_of("preset", "small", ("paper", "small"))
    'small'
    """
    listed = list(choices)
    if name not in listed:
        raise ValueError(f"{what}={name!r} is not known; it is one of {', '.join(listed)}.")
    return name
