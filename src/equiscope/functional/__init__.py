"""Tensors in, tensors out: nothing here knows a model, a file or a device. Public is `equivariance_loss`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from equiscope.functional.loss import equivariance_loss

__all__ = ["equivariance_loss"]


def __getattr__(name: str) -> Any:
    if name in __all__:  # imported when asked for: what reads results needs no torch
        from equiscope.functional import loss

        return getattr(loss, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
