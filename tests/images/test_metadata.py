"""Metadata: the pictures under it are read and upright, however it is broken."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin, TiffImagePlugin

from equiscope.images.preprocessing import AsTheyAre
from equiscope.images.sources import open_images

# A photograph that lies on its side (orientation 6), 24 x 16 as it is stored.
STORED = Image.fromarray(np.add.outer(np.arange(16) * 9, np.arange(24) * 4).astype(np.uint8))
UPRIGHT = STORED.transpose(Image.Transpose.ROTATE_270)


def exif(orientation: bytes = b"\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00") -> bytes:
    """EXIF of an orientation, after the name of a program that is a ratio in place of a text."""
    software = b"\x31\x01\x05\x00\x01\x00\x00\x00\x26\x00\x00\x00"
    return b"II*\x00\x08\x00\x00\x00\x02\x00" + orientation + software + b"\x00" * 4 + struct.pack("<II", 3, 2)


def chunk(kind: bytes, content: bytes, checksum: int | None = None) -> bytes:
    digits = zlib.crc32(kind + content) if checksum is None else checksum
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", digits)


def png(*chunks: bytes) -> bytes:
    """A PNG with these chunks before its pixels."""
    written = io.BytesIO()
    STORED.save(written, "PNG")
    content = written.getvalue()
    return content[:33] + b"".join(chunks) + content[33:]


def jpeg(*segments: tuple[int, bytes]) -> bytes:
    """A JPEG with these segments before its pixels."""
    written = io.BytesIO()
    STORED.save(written, "JPEG", quality=100)
    parts = b"".join(bytes((0xFF, kind)) + struct.pack(">H", len(part) + 2) + part for kind, part in segments)
    return written.getvalue()[:2] + parts + written.getvalue()[2:]


def tiff() -> bytes:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[274], tags[305] = 6, TiffImagePlugin.IFDRational(3, 2)
    tags.tagtype[305] = 5
    written = io.BytesIO()
    STORED.save(written, "TIFF", tiffinfo=tags)
    return written.getvalue()


TEXT = b"\x12\x01\x02\x00\x01\x00\x00\x00x\x00\x00\x00"
BROKEN: dict[str, tuple[Callable[[], bytes], bool]] = {  # what is broken, and whether the orientation is told
    "ratio in EXIF": (lambda: jpeg((0xE1, b"Exif\x00\x00" + exif())), True),
    "ratio in PNG": (lambda: png(chunk(b"eXIf", exif())), True),
    "ratio in TIFF": (tiff, True),
    "EXIF of nothing": (lambda: png(chunk(b"eXIf", b"no EXIF at all")), False),
    "EXIF cut off": (lambda: jpeg((0xE1, b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff")), False),
    "checksum": (lambda: png(chunk(b"eXIf", exif()), chunk(b"tEXt", b"Title\x00me", checksum=7)), True),
    "text too large": (
        lambda: png(
            chunk(b"zTXt", b"Title\x00\x00" + zlib.compress(b"x" * 2 * PngImagePlugin.MAX_TEXT_CHUNK)),
            chunk(b"eXIf", exif()),
        ),
        True,
    ),
    "profile cut off": (lambda: png(chunk(b"iCCP", b"p\x00"), chunk(b"eXIf", exif())), True),
    "index of pictures": (lambda: jpeg((0xE1, b"Exif\x00\x00" + exif()), (0xE2, b"MPF\x00II*\x00\x08\x00")), True),
    "orientation of a text": (lambda: jpeg((0xE1, b"Exif\x00\x00" + exif(TEXT))), False),
}


@pytest.mark.parametrize("name", BROKEN)
def test_metadata_costs_no_picture(name: str, tmp_path: Path) -> None:
    content, told = BROKEN[name]
    (tmp_path / "photo").write_bytes(content())
    expected = UPRIGHT if told else STORED
    images = open_images(str(tmp_path), AsTheyAre.like(expected))  # of another size if it lay on its side
    (found,) = torch.cat(list(images))
    torch.testing.assert_close(found[0] * 255, torch.from_numpy(np.array(expected)).float(), rtol=0, atol=3)
