"""What these tests share."""

from unchecked import unchecked  # noqa: F401
