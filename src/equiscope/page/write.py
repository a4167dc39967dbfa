"""`report`: one result, or several by name, as a page in a file."""

from collections.abc import Mapping
from pathlib import Path

from equiscope.page.document import document
from equiscope.results.scores import Scores
from equiscope.system.files import path_of, refuse_place, replacing


def report(scores: Scores | Mapping[str, Scores], file: str | Path) -> None:
    """Write a result, or several by their names, as one HTML page that stands alone.

    The page asks for nothing from the network, and without JavaScript it has figures and tables. A file of that name
    is replaced at once, or, where the writing is interrupted, not at all. ValueError where there is no result, an
    OSError where the path is a folder or nothing can be written there.
    """
    if not scores:
        raise ValueError("There is no result to report; give the scores of a measurement, or several by name.")
    path = path_of(file).resolve()
    refuse_place(path)
    content = document(scores).encode(errors="xmlcharrefreplace")  # a file's name need not be text
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as aside:
        aside.write_bytes(content)
