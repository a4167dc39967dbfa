"""Folders of image files, with all folders in them."""

import os
from collections.abc import Iterable
from pathlib import Path

from equiscope.images.pictures import Found, Picture, file_size, fingerprint, shuffled

SUFFIXES = frozenset(
    (".avif", ".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)


def folder_images(folder: str, images: list[str], limit: int | None, seed: int) -> Found:
    """The images of a folder, given by their paths inside of it."""
    paths = {image: os.path.join(folder, *image.split("/")) for image in images}
    order = [images[place] for place in shuffled(len(images), limit, seed)]
    pictures = [Picture(_printable(image), paths[image]) for image in order]
    digits = fingerprint((image, file_size(path)) for image, path in paths.items())
    return Found(pictures, {"kind": "folder", "found": len(images), "fingerprint": digits})


def files_in(folder: str) -> list[str]:
    """All files in a folder but hidden ones, by path inside of it, with slashes and in the same order everywhere."""

    def refuse(error: OSError) -> None:
        raise ValueError(f"the folder {error.filename!r} cannot be listed: {error.strerror}") from error

    files = []
    seen = set()
    for place, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        real = os.path.realpath(place)
        # Folders of links to folders are common, and so are links that lead back up.
        folders[:] = [] if real in seen else [name for name in folders if not name.startswith(".")]
        if real not in seen:
            files += [Path(place, name).relative_to(folder).as_posix() for name in names if not name.startswith(".")]
        seen.add(real)
    return sorted(files)


def of_suffix(files: Iterable[str], suffixes: frozenset[str]) -> list[str]:
    """Those of the files whose names end in one of these, in whatever case."""
    return [file for file in files if os.path.splitext(file)[1].lower() in suffixes]


def _printable(name: str) -> str:
    """A file's name with the bytes that are no UTF-8, line breaks and other signs that do not print written out."""
    text = name.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
