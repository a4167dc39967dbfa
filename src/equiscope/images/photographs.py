"""The photographs that scikit-image and scikit-learn ship, as random crops."""

import importlib.util
import os
import random
from collections.abc import Iterator, Sequence
from itertools import islice

from PIL import Image

from equiscope.images.pictures import Found, Picture

PHOTOGRAPHS = "photographs"  # the name of this source

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


def crops(size: tuple[int, int], limit: int | None, seed: int) -> Found:
    """Crops of the aspect of `size` (square, mostly), at random places, half to all of what fits into a photograph."""
    files, number = _photographs(), _CROPS if limit is None else limit
    extents = {}  # path: width, height
    for file in files:
        with Image.open(file) as image:
            extents[file] = image.size
    draw = random.Random(str(seed))  # any integer: numbers as seeds lose their sign
    pictures = []
    for file in islice(_unlike_neighbours(files, draw), number):
        scale = draw.uniform(0.5, 1.0) * min(
            extent / side for extent, side in zip(extents[file], size[::-1], strict=True)
        )
        height, width = (max(1, round(scale * side)) for side in size)
        left = draw.randint(0, extents[file][0] - width)
        upper = draw.randint(0, extents[file][1] - height)
        box = (left, upper, left + width, upper + height)
        pictures.append(Picture(f"{os.path.basename(file)} {','.join(map(str, box))}", file, box))
    return Found(pictures, {"kind": "photographs", "found": len(files), "limit": number})


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
