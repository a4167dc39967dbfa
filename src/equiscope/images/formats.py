"""What a file is by its first bytes: which format of images, if any, and what reads it."""

import os
import stat

HEAD = 512  # bytes that tell a format

# Each format's first bytes, and from which byte on they stand. Those of TIFF are also those of most cameras' raw files.
_SIGNATURES: tuple[tuple[str, int, bytes], ...] = (
    ("PNG", 0, b"\x89PNG\r\n\x1a\n"),
    ("JPEG", 0, b"\xff\xd8\xff"),
    ("GIF", 0, b"GIF87a"),
    ("GIF", 0, b"GIF89a"),
    ("WebP", 8, b"WEBP"),
    ("TIFF", 0, b"II*\x00"),
    ("TIFF", 0, b"MM\x00*"),
    ("TIFF", 0, b"II+\x00"),
    ("TIFF", 0, b"MM\x00+"),
    ("JPEG 2000", 0, b"\x00\x00\x00\x0cjP  \r\n\x87\n"),
    ("JPEG 2000", 0, b"\xff\x4f\xff\x51"),
    ("JPEG XL", 0, b"\xff\x0a"),
    ("JPEG XL", 0, b"\x00\x00\x00\x0cJXL \r\n\x87\n"),
    ("PSD", 0, b"8BPS"),
    ("QOI", 0, b"qoif"),
    ("DDS", 0, b"DDS "),
    ("ICNS", 0, b"icns"),
    ("SGI", 0, b"\x01\xda"),
    ("OpenEXR", 0, b"\x76\x2f\x31\x01"),
    ("Radiance HDR", 0, b"#?RADIANCE"),
    ("Radiance HDR", 0, b"#?RGBE"),
    ("FITS", 0, b"SIMPLE  ="),
    ("DICOM", 128, b"DICM"),
    ("XPM", 0, b"/* XPM */"),
    ("raw", 0, b"FUJIFILMCCD-RAW"),
    ("raw", 0, b"IIRO"),
    ("raw", 0, b"IIRS"),
    ("raw", 0, b"IIU\x00"),
    ("raw", 0, b"FOVb"),
)
_HEIC = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"))
_BITMAP_HEADERS = frozenset((12, 16, 40, 52, 56, 64, 108, 124))  # their sizes in bytes
_WHITE = frozenset(b" \t\n\r#")

# By which names files are meant as images, whatever is in them.
SUFFIXES = frozenset(
    (
        ".apng", ".avif", ".bmp", ".dcm", ".dib", ".exr", ".gif", ".hdr", ".heic", ".heif", ".hif", ".ico",
        ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".jxl", ".pbm", ".pcx", ".pfm", ".pgm", ".png",
        ".pnm", ".ppm", ".psd", ".qoi", ".sgi", ".svg", ".tga", ".tif", ".tiff", ".webp", ".xbm", ".xpm",
    )
)  # fmt: skip

_UNREAD = {
    "HEIC": "it is HEIC, which the package pillow-heif reads: pip install pillow-heif",
    "AVIF": "it is AVIF, which Pillow reads from version 11.3 on: pip install -U pillow",
    "JPEG XL": "it is JPEG XL, which Pillow does not read: convert it, for example to PNG",
    "raw": "it is a camera's raw file, which Pillow does not read: convert it, for example to PNG",
    "SVG": "it is a drawing (SVG), which has no pixels: convert it, for example to PNG",
    "DICOM": "it is DICOM, which Pillow does not read: convert it, for example to PNG",
    "OpenEXR": "it is OpenEXR, which Pillow does not read: convert it, for example to PNG",
    "Radiance HDR": "it is Radiance HDR, which Pillow does not read: convert it, for example to PNG",
}

_NO_IMAGES = (  # what stands where an image was meant to be
    (b"version https://git-lfs.github.com/spec/", "it is a pointer of Git LFS, not the image: fetch it (git lfs pull)"),
    (b"<!doctype html", "it is a web page, not an image: download it again"),
    (b"<html", "it is a web page, not an image: download it again"),
)

_DRAWN = b"tEXtSoftware\x00equiscope"  # in the PNG of a figure of this program

_IRREGULAR = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISDIR, "a folder"),
)


def format_of(head: bytes) -> str | None:
    r"""The format of the image that begins with these bytes; None where it is none.

    >>> format_of(b"GIF89a..."), format_of(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic")
    ('GIF', 'HEIC')
    >>> format_of(b"P5 4 4 255 "), format_of(b"BM is how this note begins"), format_of(b"")
    ('PNM', None, None)
    """
    for name, start, signature in _SIGNATURES:
        if head.startswith(signature, start) and (name != "WebP" or head.startswith(b"RIFF")):
            return name
    if head[4:8] == b"ftyp":
        return _of_brands(head)
    if head[:1] == b"P" and head[1:2] in b"1234567Ff" and len(head) > 2 and head[2] in _WHITE:
        return "PNM"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BITMAP_HEADERS:
        return "BMP"
    if head[:4] == b"\x00\x00\x01\x00" and 0 < int.from_bytes(head[4:6], "little") < 100 and head[9:10] == b"\x00":
        return "ICO"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"<svg") or (text.startswith((b"<?xml", b"<!--")) and b"<svg" in text):
        return "SVG"
    return None


def _of_brands(head: bytes) -> str | None:
    """The format of a file of boxes, as HEIC, AVIF and films are, by what its first one says it is."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[8:12], *(head[place : place + 4] for place in range(16, end - 3, 4))}
    if brands & {b"avif", b"avis"}:
        return "AVIF"
    if brands & _HEIC:
        return "HEIC"
    return "raw" if b"crx " in brands else None


def why_unread(head: bytes) -> str | None:
    """What to do with what Pillow does not read, told by its first bytes; None where that is not known."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return _UNREAD.get(format_of(head) or "") or next(
        (why for start, why in _NO_IMAGES if text.startswith(start)), None
    )


def refuse_own_figure(head: bytes) -> None:
    """ValueError where the first bytes are those of a figure that this program drew."""
    if head.startswith(_SIGNATURES[0][2]) and _DRAWN in head:
        raise ValueError("it is a figure that equiscope drew")


def refuse_irregular(path: str) -> None:
    """ValueError where there is no regular file at the path, which reading might wait for without end.

    An OSError where there is nothing.
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        kind = next((kind for is_one, kind in _IRREGULAR if is_one(mode)), "no regular file")
        raise ValueError(f"it is {kind}, not a file")
