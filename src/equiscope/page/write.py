"""`report`: one result, or several by name, as a page in a file."""

from collections.abc import Mapping
from pathlib import Path

from equiscope.page.document import document
from equiscope.results.scores import Scores
from equiscope.system.files import nearest, path_of, refuse_unwritable, replacing


def report(scores: Scores | Mapping[str, Scores], file: str | Path) -> None:
    """Write a result, or several by their names, as one HTML page that stands alone.

    The page asks for nothing from the network, and without JavaScript it has figures and tables. A file of that name
    is replaced at once, or, where the writing is interrupted, not at all. ValueError where there is no result, an
    OSError where the path is a folder or nothing can be written there.
    """
    if not scores:
        raise ValueError("There is no result to report; give the scores of a measurement, or several by name.")
    path = path_of(file).resolve()
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, and the report is one file; give a name such as report.html.")
    if not (above := nearest(path.parent)).is_dir():
        raise NotADirectoryError(f"{above} is a file, and the report needs a folder there; give another path.")
    refuse_unwritable(path.parent)
    content = document(scores).encode(errors="xmlcharrefreplace")  # a file's name need not be text
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as aside:
        aside.write_bytes(content)
