"""Metadata of pictures: which way is up; and pictures without it, where it is broken and keeps them from being read."""

from collections.abc import Callable, Iterator
from functools import partial

from PIL import ExifTags, Image

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
_METADATA_OF_JPEG = frozenset((*range(0xE1, 0xEE), 0xEF, 0xFE))  # but JFIF and Adobe's, which tell the colours

Part = tuple[bytes, bytes]  # its kind, and all of its bytes


def upright(image: Image.Image) -> Image.Image:
    """The picture as its EXIF orientation has it, or as it is stored where that cannot be told."""
    image.load()  # PNG may tell at its end
    return turned(image, _orientation(image.getexif))


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """The picture as an EXIF orientation has it."""
    method = _UPRIGHT.get(orientation)
    return image if method is None else image.transpose(method)


def without_metadata(content: bytes) -> tuple[bytes, int] | None:
    """The bytes of a JPEG or PNG with only what its pixels need, and its EXIF orientation; None for another format."""
    if content.startswith(_JPEG):
        parts = list(_segments(content))
        plain = b"".join(part for kind, part in parts if not kind or kind[0] not in _METADATA_OF_JPEG)
        exif = [part[4:] for kind, part in parts if kind == b"\xe1" and part[4:8] == b"Exif"]
    elif content.startswith(_PNG):
        parts = list(_chunks(content))
        plain = _PNG + b"".join(part for kind, part in parts if kind == b"tRNS" or kind[:1].isupper())
        exif = [part[8:-4] for kind, part in parts if kind == b"eXIf"]
    else:
        return None
    return plain, next((found for one in exif if (found := _orientation(partial(_exif, one))) != 1), 1)


def _chunks(content: bytes) -> Iterator[Part]:
    """The chunks of a PNG."""
    place = len(_PNG)
    while place < len(content):
        end = place + 12 + int.from_bytes(content[place : place + 4], "big")
        yield content[place + 4 : place + 8], content[place:end]
        place = end


def _segments(content: bytes) -> Iterator[Part]:
    """The segments of a JPEG up to its pixels, and all the rest as one."""
    yield b"", content[:2]
    place = 2
    while content[place : place + 1] == b"\xff" and content[place + 1 : place + 2] not in (b"", b"\xda", b"\xff"):
        end = place + 2 + int.from_bytes(content[place + 2 : place + 4], "big")
        yield content[place + 1 : place + 2], content[place:end]
        place = end
    yield b"", content[place:]


def _exif(content: bytes) -> Image.Exif:
    found = Image.Exif()
    found.load(content)
    return found


def _orientation(exif: Callable[[], Image.Exif]) -> int:
    """The orientation, 1 to 8; 1 where it cannot be told."""
    try:
        return int(exif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001  (on broken metadata, its readers raise anything)
        return 1
