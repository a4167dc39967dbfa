"""The manifest: of what, and how, a measurement was made."""

from collections.abc import Mapping, Sequence
from typing import Any

from equiscope.measurement.budget import Budget
from equiscope.measurement.plan import Plan
from equiscope.system.provenance import versions


def manifest_of(
    model: str, weights: str, data: str, image_shape: Sequence[int], options: Mapping[str, Any], plan: Plan,
    budget: Budget,
) -> dict[str, Any]:  # fmt: skip
    """What every manifest tells: of which network and images, with which options, of which layers, in which sums."""
    return {
        "model": model,
        "network": model,
        "weights": {"source": "the model's own", "sha256": weights},
        "data": {"kind": data},
        "preprocessing": "as the images were given",
        "images_left_out": [],
        "image_shape": list(image_shape),
        "options": dict(options),
        "accumulators": {"bytes": budget.bytes, "passes": len(budget.passes)},
        "layers_left_out": [{"layer": layer.name, "reason": layer.reason} for layer in plan.found.left_out],
        "alone_left_out": [{"layer": layer.name, "reason": layer.reason} for layer in plan.alone_left_out],
        "versions": versions(),
    }
