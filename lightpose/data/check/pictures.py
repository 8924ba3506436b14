"""Checks of the image files: whether they are there and whole."""

from __future__ import annotations

from collections.abc import Iterator

from lightpose.data.check.faults import Fault, Finding
from lightpose.data.stored import Fitted

__all__ = ["check_pictures"]

MISSING = Fault(
    "missing_picture", "error", "image", "The image is not in the folder",
    "Training and evaluation stop at the first of them", "Add the images, correct file_name, or name another folder.",
)  # fmt: skip
BROKEN = Fault(
    "broken_picture", "error", "image", "The image cannot be read or is cut short",
    "Training and evaluation stop at the first of them", "Copy or download the images again.",
)  # fmt: skip


def check_pictures(fitted: Fitted) -> Iterator[Finding]:
    """Whether the images are there and can be read; what their sizes and marks say is the reader's remark."""
    yield MISSING.naming(fitted.missing)
    yield BROKEN.naming(fitted.broken)
