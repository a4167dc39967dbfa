"""Folders of image files, with all folders in them: every file is an image, a table of data, or accounted for."""

import json
import os
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from equiscope.images.formats import HEAD, SUFFIXES, format_of
from equiscope.images.pictures import Found, Picture, shuffled
from equiscope.system.output_folder import ASIDE

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z", ".rar")
TABLES = frozenset((".arrow", ".parquet"))
MANIFEST = "manifest.json"  # of a result of this program
_FILES_OF_RESULTS = frozenset(("figure.png", "figure.pdf", "report.html", "maps.npz", "orbits.parquet", MANIFEST))


@dataclass
class Listing:
    """What a folder and the folders in it hold. Names are paths inside of it, with slashes, sorted.

    Attributes:
        images: Files that are images by their first bytes, or by their suffix.
        tables: Parquet and Arrow files.
        others: Files that are neither.
        hidden: Files and folders whose names begin with a dot; these folders are not looked into.
        results: Folders that hold a result of this program; its files are not looked at.
        unlisted: Folders that cannot be listed, each with its reason.
        bare: Tables without a column of images, beside others that have one.
    """

    images: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)
    bare: list[str] = field(default_factory=list)

    def of_tables(self, tables: Sequence[str]) -> "Listing":
        """The same, where of the tables only these hold images."""
        return replace(self, tables=list(tables), bare=[one for one in self.tables if one not in set(tables)])

    def passed_over(self, *, beside_tables: bool = False) -> dict[str, object]:
        """For a manifest: how many files were passed over, and the folders of results.

        `beside_tables`: where the tables are what is read, and images beside them are not.
        """
        passed: dict[str, object] = {
            "no_image": len(self.others) + len(self.bare if beside_tables else self.tables),
            "hidden": len(self.hidden),
            "results": self.results,
        }
        passed |= {"unlisted": self.unlisted} if self.unlisted else {}
        return passed | {"images": len(self.images)} if beside_tables else passed


def listing(folder: str) -> Listing:
    """All that a folder holds, the same wherever it lies and in whatever order the disk lists it.

    A folder that is reached on several ways is gone into once: by its own name where it lies inside, else by the link
    to it that is first by the real path it leads to. ValueError where the folder itself cannot be listed.
    """
    found = Listing()
    seen: set[str] = set()
    waiting = [(os.path.realpath(folder), "")]
    while waiting:
        links: list[tuple[str, str]] = []
        for real, name in sorted(waiting):
            links += _walked(folder, name, real, seen, found)
        waiting = [link for link in links if link[0] not in seen]
    for names in (found.images, found.tables, found.others, found.hidden, found.results, found.unlisted):
        names.sort()
    return found


def _walked(folder: str, start: str, real: str, seen: set[str], found: Listing) -> list[tuple[str, str]]:
    """Go through a folder without following links; the links to folders in it, as real paths and names."""
    links: list[tuple[str, str]] = []
    pending = [(real, start)]
    while pending:
        real, name = pending.pop()
        if real in seen:  # on another way
            continue
        seen.add(real)
        try:
            entries = _entries(os.path.join(folder, *name.split("/")) if name else folder)
        except OSError as error:
            if not name:
                raise ValueError(f"the folder {folder!r} cannot be listed: {error.strerror}") from error
            found.unlisted.append(f"{name} ({error.strerror})")
            continue
        is_result = MANIFEST in {entry.name for entry in entries} and _is_result(real)
        if is_result:
            found.results.append(name or ".")
        if not (is_result and name):
            _sort_all(entries, name, is_result, found, pending, links)
    return links


def _sort_all(
    entries: Sequence["os.DirEntry[str]"],
    name: str,
    is_result: bool,
    found: Listing,
    folders: list[tuple[str, str]],
    links: list[tuple[str, str]],
) -> None:
    """Add what a folder of this name holds to what is of its kind; the folders in it, as real paths and names."""
    for entry in entries:
        inside = f"{name}/{entry.name}" if name else entry.name
        if entry.name.startswith(ASIDE):  # of a run that is under way
            continue
        if entry.name.startswith("."):
            found.hidden.append(inside)
        elif _is_folder(entry):
            (links if entry.is_symlink() else folders).append((os.path.realpath(entry.path), inside))
        elif not (is_result and _of_result(entry.name)):
            _sort_in(entry, inside, found)


def _entries(place: str) -> list["os.DirEntry[str]"]:
    with os.scandir(place) as listed:
        return list(listed)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _is_result(folder: str) -> bool:
    """Whether the folder's manifest is one that this program wrote."""
    try:
        with open(os.path.join(folder, MANIFEST), encoding="utf-8") as stream:
            manifest = json.load(stream)
    except (OSError, ValueError):
        return False
    versions = manifest.get("versions") if isinstance(manifest, dict) else None
    return isinstance(versions, dict) and "equiscope" in versions


def _of_result(name: str) -> bool:
    """Whether a file beside a result's manifest is the result's own."""
    return name in _FILES_OF_RESULTS or name.endswith(".parquet")


def _sort_in(entry: "os.DirEntry[str]", name: str, found: Listing) -> None:
    """Add a file to those of its kind. Only regular files are opened, and only those of unknown suffix."""
    suffix = os.path.splitext(entry.name)[1].lower()
    if suffix in SUFFIXES:
        found.images.append(name)
    elif suffix in TABLES:
        found.tables.append(name)
    elif _may_be_image(entry.path):
        found.images.append(name)
    else:
        found.others.append(name)


def _may_be_image(path: str) -> bool:
    """Whether a file begins as images do, or cannot be opened to see that: reading it tells why."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
    except OSError:  # a link that leads nowhere
        return False
    try:
        with open(path, "rb") as stream:
            return format_of(stream.read(HEAD)) is not None
    except OSError:
        return True


def folder_images(folder: str, found: Listing, limit: int | None, seed: int) -> Found:
    """The images of a folder."""
    images = found.images
    paths = {image: os.path.join(folder, *image.split("/")) for image in images}
    order = [images[place] for place in shuffled(len(images), limit, seed)]
    pictures = [Picture(printable(image), paths[image]) for image in order]
    about = {"kind": "folder", "found": len(images), "passed_over": found.passed_over()}
    return Found(pictures, about, remarks(found))


def remarks(found: Listing, *, beside_tables: bool = False) -> tuple[str, ...]:
    """Sentences on what was passed over."""
    told = []
    if found.results:
        told.append(f"Results of equiscope are not read as images: {', '.join(map(printable, found.results))}.")
    if found.unlisted:
        named = ", ".join(map(printable, found.unlisted[:3])) + (", ..." if len(found.unlisted) > 3 else "")
        told.append(f"{len(found.unlisted)} folder{'s' * (len(found.unlisted) > 1)} could not be listed: {named}.")
    files = sorted(found.images + found.bare) if beside_tables else sorted(found.others + found.tables)
    if files:
        named = ", ".join(map(printable, files[:3])) + (", ..." if len(files) > 3 else "")
        why = "beside the data set" if beside_tables else "as no image" + "s" * (len(files) > 1)
        told.append(f"{len(files)} file{'s' * (len(files) > 1)} passed over {why}: {named}.")
    return tuple(told)


def summary(found: Listing) -> str:
    """What a folder holds, where it holds no images."""
    suffixes = Counter(os.path.splitext(name)[1].lower() or "no suffix" for name in found.others)
    kinds = ", ".join(f"{count} of {suffix}" for suffix, count in suffixes.most_common(3))
    parts = [
        f"{len(found.others)} other file{'s' * (len(found.others) != 1)}" + (f": {kinds}" if kinds else ""),
        *([f"{len(found.hidden)} hidden"] if found.hidden else []),
        *([f"not listed: {', '.join(map(printable, found.unlisted))}"] if found.unlisted else []),
        *([f"results of equiscope in {', '.join(map(printable, found.results))}"] if found.results else []),
    ]
    return "; ".join(parts)


def advice(found: Listing) -> str:
    """What to do about a folder that holds no images."""
    packed = [name for name in found.others if name.lower().endswith(ARCHIVES)]
    return f"unpack {printable(packed[0])}" + " and the others" * (len(packed) > 1) if packed else "check the folder"


def printable(name: str) -> str:
    """A file's name with the bytes that are no UTF-8, line breaks and other signs that do not print written out."""
    text = name.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
