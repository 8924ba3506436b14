"""Where the people in a picture are."""

from __future__ import annotations

from typing import Protocol

from lightpose.types import Boxes, ImageArray

__all__ = ["Detector"]


class Detector(Protocol):
    """Anything that finds the people of one RGB picture (H, W, 3); a plain function will do."""

    def __call__(self, image: ImageArray) -> Boxes: ...
