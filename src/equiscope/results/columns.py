"""The words and columns of the tables: the contract of an output folder (format 2)."""

import re

from equiscope.results.measures import TABLE

LADDER = ("invariance", "equivariance", "linear")  # each contains the one before
ALONE = {f"alone_{measure}": measure for measure in LADDER}  # the same of a layer alone
MEASURES = tuple(TABLE)
OF_IMAGES = tuple(name for name, measure in TABLE.items() if measure.of_images)
SCOPES = ("dataset", "image")
ALIGNMENTS = ("array", "registered")
METRIC_TITLES = {  # other tools' measures, of `metrics`, as they are read
    "agreement": "top-1 agreement",
    "divergence": "KL divergence",
    "lie_derivative": "Lie derivative",
    "variance_ratio": "variance ratio",
}
METRICS = tuple(METRIC_TITLES)
PARTS = ("early", "middle", "late", "pool", "final")
OF_MAPS, VECTORS = PARTS[:3], PARTS[3:]  # two populations: no line and no mean leads from one to the other

# The names of transformations that fall between pixels, and of those that let something in at the border.
BETWEEN = re.compile(r"scaling\(|affine\(|rot(?!(90|180|270)$)")
FILLED = re.compile(rf"shift\(|{BETWEEN.pattern}")

VALUES = (
    "score", "low", "high", "in_sample", "chance", "ceiling", "explained", "explained_low", "explained_high",
    "explained_ceiling", "held_out",
)  # fmt: skip
ADDED = ("ceiling", "explained_ceiling")  # columns that older results of this format lack, and that are NaN of them
COUNTS = ("images", "undefined", "transformations")
OFFSETS = ("offset_y", "offset_x")  # positions, of registered rows
KEYS = ("transformation", "measure", "scope", "alignment", "subpixel")

SCORE_COLUMNS = ("layer", "part", *KEYS, *VALUES, *COUNTS, *OFFSETS)
PART_COLUMNS = ("part", "layers", *KEYS, *VALUES, *COUNTS)
CHANNEL_COLUMNS = (
    "layer", "transformation", "scope", "alignment", "channel", "invariance", "equivariance", "linear", "partner",
    "explained_invariance", "explained_equivariance", "explained_linear", "chance_invariance", "chance_equivariance",
    "ceiling", "defined",
)  # fmt: skip
_MORE = tuple(measure for measure in MEASURES if measure not in LADDER)
MORE_CHANNEL_COLUMNS = (  # where they were measured
    *_MORE, "alone_partner", *(f"explained_{one}" for one in _MORE), *(f"chance_{one}" for one in _MORE),
)  # fmt: skip
LAW_COLUMNS = ("layer", "first", "second", "product", "composed", "direct")
REPLICATE_COLUMNS = ("layer", *KEYS, "replicate", "score", "explained")
METRIC_COLUMNS = ("metric", "transformation", "layer", "value", "low", "high", "images")
LAYER_COLUMNS = (
    "layer", "part", "type", "index", "channels", "height", "width", "stride_y", "stride_x", "dead", "dimension",
)  # fmt: skip
TABLES = {
    "scores": SCORE_COLUMNS,
    "parts": PART_COLUMNS,
    "channels": CHANNEL_COLUMNS,
    "laws": LAW_COLUMNS,
    "layers": LAYER_COLUMNS,
    "replicates": REPLICATE_COLUMNS,
}
METRIC_TABLE = "metrics"  # the one that is there only where they were measured
UNIQUE = {  # what names a row of each table
    "scores": ("layer", *KEYS),
    "parts": ("part", *KEYS),
    "channels": ("layer", "transformation", "scope", "alignment", "channel"),
    "laws": ("layer", "first", "second"),
    "layers": ("layer",),
    "replicates": ("layer", *KEYS, "replicate"),
}
