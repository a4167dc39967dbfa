"""Words that several messages about networks share."""

import difflib
import re
from collections.abc import Iterable, Sequence


def enumerated(names: Sequence[str], conjunction: str = "and") -> str:
    """Names as a sentence lists them.

    >>> enumerated(["a", "b", "c"])
    'a, b and c'
    """
    return f" {conjunction} ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def nearest(name: str, names: Iterable[str]) -> str:
    """What to say where there is no such name: the nearest ones.

    >>> nearest("resnt18", ["resnet18", "vgg16"])
    'the nearest are resnet18'
    """
    all_of_them = list(names)
    near = difflib.get_close_matches(name, all_of_them, n=4, cutoff=0.5)
    if near:
        return f"the nearest are {enumerated(near)}"
    return f"it has {len(all_of_them)}, as {enumerated(all_of_them[:4])}"


def pixels(size: tuple[int, int]) -> str:
    """Height and width.

    >>> pixels((224, 192))
    '224 x 192'
    """
    return f"{size[0]} x {size[1]}"


def summary(error: BaseException) -> str:
    """An exception's type and its first sentence.

    >>> summary(RuntimeError("no such file. Look elsewhere."))
    'RuntimeError: no such file'
    """
    sentence = next(iter(re.split(r"\n|\. ", str(error).strip())))
    return f"{type(error).__name__}: {sentence[:200]}".removesuffix(": ")
