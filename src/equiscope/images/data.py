"""Images: a folder, a data set or the packaged photographs, as batches that a network can take.

Whatever the source, the images come in a seeded random order, so that neighbours are unrelated: the chance level
compares each image with the one before it. An image that cannot be read is left out and named.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import logging
import os
import random
import re
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from equiscope.system.hub import within_reach

PHOTOGRAPHS = "photographs"

# The natural photographs in colour that the wheels of these packages hold; the rest is drawings, text and microscopy.
_PACKAGED = (
    ("skimage", "data/astronaut.png"),
    ("skimage", "data/chelsea.png"),
    ("skimage", "data/coffee.png"),
    ("skimage", "data/motorcycle_left.png"),
    ("skimage", "data/rocket.jpg"),
    ("sklearn", "datasets/images/china.jpg"),
    ("sklearn", "datasets/images/flower.jpg"),
)
_CROPS = 48

_IMAGE_SUFFIXES = frozenset(
    (".avif", ".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)
_DATA_SUFFIXES = frozenset((".arrow", ".parquet"))
_SPLITS = ("test", "validation", "train")

_INTERPOLATIONS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "nearest": Image.Resampling.NEAREST,
    "lanczos": Image.Resampling.LANCZOS,
}

# What white may be in a picture of more than 8 bits, by mode: the first that holds all of its values.
_WHITES = {"I;16": (65535,), "I": (255, 65535), "F": (1, 255, 65535)}

Box = tuple[int | float, int | float, int | float, int | float]  # left, upper, right, lower


@dataclass(frozen=True)
class Preprocessing:
    """How a photograph becomes the tensor a network was trained on.

    The shorter side is resized to `resize`, the centre of `size` is cut out, values in [0, 1] are normalised.
    This is torchvision's `Resize`, `CenterCrop`, `ToTensor` and `Normalize`.

    Attributes:
        size: Height and width of the network's input.
        mean: One value a channel: 1 for a network of grey images, 3 for RGB.
        std: Likewise; positive.
        resize: The shorter side before the central crop; `None` for the larger of `size`.
        interpolation: "bilinear", "bicubic", "nearest" or "lanczos"; all but "nearest" antialias.

    Raises:
        ValueError: If a number makes no sense or the interpolation is not one of these.

    >>> half = Preprocessing(size=(1, 2), mean=(0.5,), std=(0.5,))
    >>> half(Image.new("RGB", (4, 4), "white"))
    tensor([[[1., 1.]]])
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: int | None = None
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        if len(self.size) != 2 or min(self.size) < 1:
            raise ValueError(f"size is {self.size}, but a height and a width of at least one pixel are needed")
        if len(self.mean) != len(self.std) or len(self.mean) not in (1, 3):
            raise ValueError(
                f"mean has {len(self.mean)} values and std {len(self.std)}, "
                "but both need one value a channel: 1 for grey images or 3 for RGB"
            )
        for name, values in (("mean", self.mean), ("std", self.std)):
            if not all(isfinite(value) for value in values):
                raise ValueError(f"{name} is {values}, but every value must be a finite number")
        if min(self.std) <= 0:
            raise ValueError(f"std is {self.std}, but images are divided by it: every value must be positive")
        if self.resize is not None and self.resize < max(self.size):
            raise ValueError(
                f"resize is {self.resize}, but the shorter side must hold a crop of {self.size}: "
                f"give at least {max(self.size)}, or None"
            )
        if self.interpolation not in _INTERPOLATIONS:
            raise ValueError(f"no interpolation {self.interpolation!r}: choose from {', '.join(_INTERPOLATIONS)}")

    def larger_by(self, down: int, right: int) -> "Preprocessing":
        """The same for images that exceed this size, so that a window of this size can move in them."""
        size = (self.size[0] + down, self.size[1] + right)
        return replace(self, size=size, resize=max(self.resize or 0, *size))

    def __call__(self, image: Image.Image, *, box: Box | None = None) -> Float[Tensor, "channel height width"]:
        """The image as the network takes it, upright by its EXIF orientation.

        Every mode of Pillow but LAB is converted to RGB or grey. Transparency is dropped, as the loaders that
        networks are trained with do. Pictures of more than 8 bits are scaled so that white is white: 65535 in 16 bits;
        in 32 bit integers 255 if that holds all values, else 65535; in floats likewise 1, 255 or 65535.

        Args:
            image: A picture of any mode and size.
            box: The part to take, in pixels of the upright image: left, upper, right, lower. `None` for the central
                crop.

        Raises:
            ValueError: If the mode is LAB, or values are negative, not a number, or beyond 65535.
        """
        image = _eight_bit(ImageOps.exif_transpose(image)).convert("L" if len(self.mean) == 1 else "RGB")
        height, width = self.size
        # One call resizes and crops: what lies outside of the crop is never made, however long and thin the image.
        image = image.resize((width, height), _INTERPOLATIONS[self.interpolation], box=box or self._centre(*image.size))
        pixels = torch.from_numpy(np.array(image)).reshape(height, width, -1).permute(2, 0, 1)
        # [channel, 1, 1] each
        mean, std = (torch.tensor(values, dtype=torch.float32)[:, None, None] for values in (self.mean, self.std))
        return ((pixels.to(torch.float32) / 255 - mean) / std).contiguous()

    def _centre(self, width: int, height: int) -> Box:
        """The part of an image that its central crop shows."""
        shorter = self.resize or max(self.size)
        corners: list[tuple[float, float]] = []
        for side, crop in ((width, self.size[1]), (height, self.size[0])):
            resized = int(shorter * side / min(width, height))  # rounded as torchvision does
            start = round((resized - crop) / 2)
            corners.append((start * side / resized, (start + crop) * side / resized))
        (left, right), (upper, lower) = corners
        return left, upper, right, lower


def _eight_bit(image: Image.Image) -> Image.Image:
    """The image in a mode that converts to RGB and to grey without loss of range and without a warning."""
    if image.mode in ("La", "RGBa"):  # premultiplied by alpha
        return image.convert(image.mode.upper())
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA")
    if whites := _WHITES.get("I;16" if image.mode.startswith("I;16") else image.mode):
        values = np.asarray(image).astype(np.float64)  # [height, width]
        white = next((white for white in whites if 0 <= values.min() <= values.max() <= white), None)
        if white is None:
            raise ValueError(
                f"mode {image.mode} with values from {values.min():g} to {values.max():g}, "
                f"but they must lie between 0 and {whites[-1]}"
            )
        return Image.fromarray((values * (255 / white)).round().astype(np.uint8))
    return image


class LeftOut(NamedTuple):
    """An image that could not be read, and why."""

    name: str
    reason: str


class _Picture(NamedTuple):
    """An image not yet read: its name, its path or bytes, and the part of it to take (`None`: the central crop)."""

    name: str
    file: str | bytes | None
    box: Box | None = None


@runtime_checkable
class _Pictures(Protocol):
    """A list of pictures, or what makes each when it is asked for."""

    def __len__(self) -> int: ...
    def __getitem__(self, place: int, /) -> _Picture: ...


class _Found(NamedTuple):
    """What a source holds: pictures in their seeded order, cut to the limit, and what a manifest says of them."""

    pictures: _Pictures
    description: dict[str, object]


class ImageSource:
    """Batches `Float[Tensor, "image channel height width"]` of at most `batch` images, the same at each iteration.

    Made by `open_images`. `len()` is the number of images it will try. Batches that lost images are shorter.

    Attributes:
        description: For a manifest: where the images are from, how many there are, seed, limit, preprocessing, and a
            fingerprint of what was found (names and sizes of all files or rows, whatever the seed and limit).
        left_out: The images that the last iteration could not read, so far.
        waited: Seconds that the consumer waited for images in the last iteration, so far.
    """

    description: dict[str, object]
    left_out: list[LeftOut]
    waited: float

    def __init__(
        self,
        pictures: _Pictures,
        preprocessing: Preprocessing,
        description: dict[str, object],
        *,
        batch: int,
        workers: int,
    ) -> None:
        self.description = description
        self.left_out = []
        self.waited = 0.0
        self._attempts = _Attempts(pictures, preprocessing)
        self._batch = batch
        self._workers = workers

    def __len__(self) -> int:
        return len(self._attempts)

    def __iter__(self) -> Iterator[Float[Tensor, "image channel height width"]]:
        return self.part(0, None)

    def part(self, start: int, stop: int | None) -> Iterator[Float[Tensor, "image channel height width"]]:
        """Batches of the images from one place to another, of all it will try; the others are not read."""
        places = range(len(self))[start:stop]
        # A list of its own for each iteration, which one that was abandoned half way cannot fill up.
        self.left_out = left_out = []
        self.waited = 0.0
        # Without a generator of its own, DataLoader draws from the global random state.
        loader = iter(
            DataLoader(
                Subset(self._attempts, places),
                batch_size=self._batch,
                num_workers=self._workers,
                collate_fn=_separated,
                generator=torch.Generator(),
            )
        )
        while True:
            began = time.perf_counter()
            images, unread = next(loader, (None, None))
            self.waited += time.perf_counter() - began
            if unread is None:
                break
            left_out += unread
            if images is not None:
                yield images
        if len(left_out) == len(places) > 0:
            raise ValueError(
                f"none of the {len(places)} images in {self.description['source']} could be read: "
                f"{left_out[0].name}: {left_out[0].reason}"
            )


class _Attempts(Dataset["Tensor | LeftOut"]):
    """Each picture as a tensor, or as the reason why it is none."""

    def __init__(self, pictures: _Pictures, preprocessing: Preprocessing) -> None:
        self._pictures = pictures
        self._preprocessing = preprocessing

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, place: int) -> Float[Tensor, "channel height width"] | LeftOut:
        picture = self._pictures[place]
        try:
            with warnings.catch_warnings():
                # Odd metadata makes Pillow warn, once for every image and without its name: the pixels decide.
                warnings.simplefilter("ignore")
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                return _read(picture, self._preprocessing)
        except Exception as error:  # noqa: BLE001  (on a broken file, decoders raise anything)
            return LeftOut(picture.name, _reason(error))


def _read(picture: _Picture, preprocessing: Preprocessing) -> Float[Tensor, "channel height width"]:
    if picture.file is None:
        raise ValueError("there is no image in it")
    with BytesIO(picture.file) if isinstance(picture.file, bytes) else open(picture.file, "rb") as stream:
        if not stream.read(1):
            raise ValueError("it is empty")
        stream.seek(0)
        with Image.open(stream) as image:
            return preprocessing(image, box=picture.box)


def _reason(error: Exception) -> str:
    """Why, on one line, and the same each time: Pillow's own words for an unknown format hold a memory address."""
    if isinstance(error, UnidentifiedImageError):
        return "it is not an image that Pillow can identify"
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return " ".join(text.split()).rstrip(".")


def _separated(
    attempts: list[Tensor | LeftOut],
) -> tuple[Float[Tensor, "image channel height width"] | None, list[LeftOut]]:
    images = [attempt for attempt in attempts if isinstance(attempt, Tensor)]
    return torch.stack(images) if images else None, [attempt for attempt in attempts if isinstance(attempt, LeftOut)]


def open_images(
    source: str,
    preprocessing: Preprocessing,
    *,
    limit: int | None = None,
    seed: int = 0,
    batch: int = 32,
    workers: int = 0,
) -> ImageSource:
    """The images at `source`, in an order that depends on `seed` alone: a limited run is the start of a longer one.

    Args:
        source: One of
            - "photographs": random upright crops of the seven photographs that scikit-image and scikit-learn ship,
              48 of them unless `limit` says otherwise; no two neighbours show the same photograph
              (a folder of that name is "./photographs");
            - a folder of images, with all folders in it;
            - a folder of Parquet or Arrow files, or a name `owner/name` on the Hugging Face hub, as
              `datasets.load_dataset` takes them, perhaps with `:SPLIT` (else test, validation or train, whichever is
              there first); the first column of images is read.
        preprocessing: How each becomes a tensor.
        limit: At most so many images; `None` for all.
        seed: Any integer.
        batch: Images in a batch.
        workers: Processes that decode ahead of the consumer; they change neither content nor order.

    Raises:
        ValueError: If there is nothing to read at `source`, or a number is out of range. One sentence says what to do.

    >>> preprocessing = Preprocessing(size=(64, 64), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    >>> [tuple(images.shape) for images in open_images("photographs", preprocessing, limit=5, batch=3)]
    [(3, 3, 64, 64), (2, 3, 64, 64)]
    """
    for name, value, least in (("limit", limit, 1), ("batch", batch, 1), ("workers", workers, 0)):
        if value is not None and value < least:
            raise ValueError(f"{name} is {value}, but it must be at least {least}")
    if not isinstance(seed, int):
        raise ValueError(f"seed is {seed!r}, but it must be an integer")
    pictures, found = _found(source, preprocessing, limit, seed)
    settings = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(preprocessing).items()}
    description = {"source": source, "split": None, "column": None, "limit": limit, "seed": seed} | found
    return ImageSource(pictures, preprocessing, description | {"preprocessing": settings}, batch=batch, workers=workers)


def _found(source: str, preprocessing: Preprocessing, limit: int | None, seed: int) -> _Found:
    if source == PHOTOGRAPHS:
        return _crops(preprocessing.size, _CROPS if limit is None else limit, seed)
    place, split = _place_and_split(source)
    if not _is_path(place):
        return _rows(place, place, split, limit, seed)
    folder = os.path.expanduser(place)
    if not os.path.isdir(folder):
        what = f"{place!r} is a file" if os.path.exists(folder) else f"there is no folder {place!r}"
        raise ValueError(
            f"{what}, but images are read from a folder, from a data set on the hub (owner/name), "
            f"or from {PHOTOGRAPHS!r} without a split"
        )
    files = _files(folder)
    if any(_suffix(file) in _DATA_SUFFIXES for file in files):
        return _rows(os.path.abspath(folder), place, split, limit, seed)
    images = [file for file in files if _suffix(file) in _IMAGE_SUFFIXES]
    if not images:
        raise ValueError(
            f"there are no images in {place!r}, but files ending in {', '.join(sorted(_IMAGE_SUFFIXES))} "
            f"or a data set of {', '.join(sorted(_DATA_SUFFIXES))} are needed: check the folder"
        )
    if split is not None:
        raise ValueError(f"{place!r} is a folder of images and has no split {split!r}: name the folder that you mean")
    return _folder(folder, images, limit, seed)


def _place_and_split(source: str) -> tuple[str, str | None]:
    """`place:SPLIT` taken apart, unless a path of just that name exists."""
    parts = re.fullmatch(r"(.+):(\w+(?:\.\w+)*)", source)
    if parts is None or os.path.exists(os.path.expanduser(source)):
        return source, None
    return parts[1], parts[2]


def _is_path(place: str) -> bool:
    """Whether a place is meant as a path. A path that is not there is never looked for on the hub."""
    first, slash, name = place.partition("/")
    owner_and_name = bool(first and slash and name) and "/" not in name and "\\" not in place
    return not owner_and_name or place[0] in ".~" or os.path.exists(first)


def _crops(size: tuple[int, int], number: int, seed: int) -> _Found:
    """Crops of the aspect of `size` (square, mostly), at random places, half to all of what fits into a photograph."""
    files = _photographs()
    extents = {}  # path: width, height
    for file in files:
        with Image.open(file) as image:
            extents[file] = image.size
    draw = random.Random(str(seed))  # any integer: numbers as seeds lose their sign
    pictures = []
    for file in itertools.islice(_unlike_neighbours(files, draw), number):
        scale = draw.uniform(0.5, 1.0) * min(
            extent / side for extent, side in zip(extents[file], size[::-1], strict=True)
        )
        height, width = (max(1, round(scale * side)) for side in size)
        left = draw.randint(0, extents[file][0] - width)
        upper = draw.randint(0, extents[file][1] - height)
        box = (left, upper, left + width, upper + height)
        pictures.append(_Picture(f"{os.path.basename(file)} {','.join(map(str, box))}", file, box))
    fingerprint = _fingerprint((os.path.basename(file), _file_size(file)) for file in files)
    return _Found(pictures, {"kind": "photographs", "found": len(files), "limit": number, "fingerprint": fingerprint})


def _photographs() -> list[str]:
    """Paths of the packaged photographs, found without importing the packages."""
    files = []
    for package, path in _PACKAGED:
        spec = importlib.util.find_spec(package)
        places = spec.submodule_search_locations if spec else None
        candidates = [os.path.join(place, *path.split("/")) for place in places or ()]
        files += [file for file in candidates if os.path.isfile(file)][:1]
    if len(files) < len(_PACKAGED):
        raise ValueError(
            f"the source {PHOTOGRAPHS!r} needs the photographs of scikit-image and scikit-learn, which are not "
            'all here: pip install "equiscope[demo]", or give a folder of images'
        )
    return files


def _unlike_neighbours(files: Sequence[str], draw: random.Random) -> Iterator[str]:
    """All files in random order, over and over, none twice in a row."""
    last = None
    while True:
        round_ = draw.sample(files, len(files))
        if round_[0] == last:
            round_.reverse()
        yield from round_
        last = round_[-1]


def _folder(folder: str, images: list[str], limit: int | None, seed: int) -> _Found:
    paths = {image: os.path.join(folder, *image.split("/")) for image in images}
    pictures = [_Picture(_printable(images[place]), paths[images[place]]) for place in _order(len(images), limit, seed)]
    fingerprint = _fingerprint((image, _file_size(path)) for image, path in paths.items())
    return _Found(pictures, {"kind": "folder", "found": len(images), "fingerprint": fingerprint})


def _files(folder: str) -> list[str]:
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


def _suffix(file: str) -> str:
    return os.path.splitext(file)[1].lower()


def _printable(name: str) -> str:
    """A file's name with the bytes that are no UTF-8, line breaks and other signs that do not print written out."""
    text = name.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def _file_size(file: str) -> int:
    """The size of a file; 0 for a link to nothing, which is left out when it is its turn."""
    return os.path.getsize(file) if os.path.exists(file) else 0


class _Rows:
    """Rows of a data set, read one by one and not decoded, so that a broken one harms no other."""

    def __init__(self, table: Any, column: str, order: Sequence[int]) -> None:
        self._table = table
        self._column = column
        self._order = order

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, place: int) -> _Picture:
        row = self._order[place]
        image = self._table[row][self._column] or {"bytes": None, "path": None}
        return _Picture(f"row {row}", image["path"] if image["bytes"] is None else image["bytes"])


def _rows(name: str, place: str, split: str | None, limit: int | None, seed: int) -> _Found:
    """Rows of the data set `name`; `place` is how the user calls it."""
    import datasets  # here, because it takes a second, which other sources need not wait
    import pyarrow.compute

    hindrance = None
    try:
        with silent_datasets(), nullcontext() if os.path.isdir(name) else within_reach() as hindrance:
            splits = datasets.load_dataset(name)
    except Exception as error:
        advice = (
            "check its files, and that its path holds none of [ ] * ?"
            if os.path.isdir(name)
            else "check its name and the network, or give a folder"
        )
        raise ValueError(
            f"the data set {place!r} could not be loaded "
            f"({hindrance or f'{type(error).__name__}: {_reason(error)}'}): {advice}"
        ) from error
    split = _split(list(splits), place, split)
    table = splits[split]
    column = next((name for name, kind in table.features.items() if isinstance(kind, datasets.Image)), None)
    if column is None:
        columns = ", ".join(f"{name} ({type(kind).__name__})" for name, kind in table.features.items())
        raise ValueError(f"the data set {place!r} has no column of images, but one is needed: it has {columns}")
    if not len(table):
        raise ValueError(f"the split {split!r} of {place!r} is empty, but images are needed: try {', '.join(splits)}")
    table = table.select_columns(column).cast_column(column, datasets.Image(decode=False))
    lengths = pyarrow.compute.binary_length(pyarrow.compute.struct_field(table.data.column(column), "bytes"))
    fingerprint = _fingerprint((f"row {row}", length) for row, length in enumerate(lengths.to_pylist()))
    about = {"kind": "data set", "split": split, "column": column, "found": len(table), "fingerprint": fingerprint}
    return _Found(_Rows(table, column, _order(len(table), limit, seed)), about)


def _split(splits: list[str], place: str, wanted: str | None) -> str:
    """The split that is wanted, or else the first of test, validation and train, or the only one."""
    if wanted is None:
        wanted = next((split for split in _SPLITS if split in splits), splits[0] if len(splits) == 1 else None)
    if wanted not in splits:
        what = (
            f"which split of {place!r} to read is not clear" if wanted is None else f"{place!r} has no split {wanted!r}"
        )
        raise ValueError(f"{what}: write {' or '.join(f'{place}:{split}' for split in splits)}")
    return wanted


@contextmanager
def silent_datasets() -> Iterator[None]:
    """The log of `datasets`, its progress bars and those of the hub's downloads off, unless the user set them.

    They are as they were after; what goes wrong is raised as well as logged.
    """
    import datasets
    import huggingface_hub

    bars = (
        (datasets, datasets.config.HF_DATASETS_DISABLE_PROGRESS_BARS),
        (huggingface_hub.utils, huggingface_hub.constants.HF_HUB_DISABLE_PROGRESS_BARS),
    )
    with ExitStack() as after:
        for library, wish in bars:
            if wish is None and not library.are_progress_bars_disabled():
                library.disable_progress_bars()
                after.callback(library.enable_progress_bars)
        log = logging.getLogger("datasets")
        after.callback(log.setLevel, log.level)
        log.setLevel(logging.CRITICAL)
        yield


def _order(number: int, limit: int | None, seed: int) -> list[int]:
    """The first `limit` places of a random order of so many."""
    places = list(range(number))
    random.Random(str(seed)).shuffle(places)  # any integer: numbers as seeds lose their sign
    return places[:limit]


def _fingerprint(files: Iterable[tuple[str, int | None]]) -> str:
    """16 hexadecimal digits that tell files apart by their names and sizes, without reading them."""
    digest = hashlib.sha256()
    for name, size in files:
        digest.update(f"{name}\t{size}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]
