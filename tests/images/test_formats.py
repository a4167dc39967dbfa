"""Formats: told by the first bytes, whatever the name; and what is no file is never opened."""

import io
import os
import socket
from pathlib import Path

import pytest
from PIL import Image

from equiscope.images.formats import HEAD, format_of, refuse_irregular, why_unread

# What Pillow writes, and is an image.
WRITTEN = {
    "PNG": "PNG", "JPEG": "JPEG", "MPO": "JPEG", "GIF": "GIF", "WEBP": "WebP", "TIFF": "TIFF", "JPEG2000": "JPEG 2000",
    "BMP": "BMP", "PPM": "PNM", "ICO": "ICO", "ICNS": "ICNS", "DDS": "DDS", "SGI": "SGI", "AVIF": "AVIF", "QOI": "QOI",
}  # fmt: skip


@pytest.mark.parametrize("kind", WRITTEN)
def test_images_are_known_by_their_first_bytes(kind: str) -> None:
    if kind == "AVIF" and "AVIF" not in Image.registered_extensions().values():
        pytest.skip("this Pillow does not write AVIF")
    written = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(written, kind)
    assert format_of(written.getvalue()[:HEAD]) == WRITTEN[kind]
    assert format_of(written.getvalue()[: HEAD // 64]) in (WRITTEN[kind], None)  # a file cut off early


OTHERS = [
    b"", b"P", b"Picture this: a text", b"BM, as notes may begin, is no bitmap", b"<html><body></body></html>",
    b"%PDF-1.7", b"PK\x03\x04", b"RIFF\x00\x00\x00\x00WAVEfmt ", b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomavc1",
    b"\x7fELF", b"PAR1", b"\x89HDF\r\n\x1a\n", b"%!PS-Adobe", b"#define width 4", b"\x00" * 64,
]  # fmt: skip


@pytest.mark.parametrize("head", OTHERS)
def test_other_files_are_no_images(head: bytes) -> None:
    assert format_of(head) is None


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"\x00\x00\x00\x1cftypheix\x00\x00\x00\x00mif1heix", "HEIC, which the package pillow-heif reads"),
        (b"\x00\x00\x00\x20ftypmif1\x00\x00\x00\x00mif1miafMA1Bavif", "AVIF, which Pillow reads from version 11.3"),
        (b"\xff\x0a\x00\x00", "JPEG XL"),
        (b"\x00\x00\x00\x18ftypcrx \x00\x00\x00\x01crx isom", "a camera's raw file"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "no pixels"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a pointer of Git LFS, not the image: fetch it"),
        (b"\n<!DOCTYPE html><title>404</title>", "a web page, not an image"),
    ],
)
def test_what_pillow_does_not_read_is_named_with_what_to_do(head: bytes, words: str) -> None:
    assert words in str(why_unread(head))


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(tmp_path / "socket"))
    for path, kind in (("pipe", "a named pipe"), ("socket", "a socket"), ("/dev/zero", "a device"), (".", "a folder")):
        with pytest.raises(ValueError, match=f"it is {kind}, not a file"):
            refuse_irregular(str(tmp_path / path))
    with pytest.raises(FileNotFoundError):
        refuse_irregular(str(tmp_path / "nowhere"))
