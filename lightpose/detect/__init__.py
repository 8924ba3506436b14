"""Where the people in a picture are."""

from __future__ import annotations

from typing import Protocol

from lightpose.errors import ConfigError
from lightpose.results import Boxes
from lightpose.types import ImageArray

__all__ = ["Detector", "check_threshold", "detector_name"]


class Detector(Protocol):
    """Anything that finds the people of one RGB picture (H, W, 3); a plain function will do."""

    def __call__(self, image: ImageArray) -> Boxes: ...


def check_threshold(threshold: float | None, name: str = "the detector's threshold") -> None:
    """Raise ConfigError unless the least score of a box, or of what else is named, is in [0, 1], or not given."""
    if threshold is not None and not 0 <= threshold <= 1:
        raise ConfigError(f"{name} must be from 0 to 1, not {threshold}")


def detector_name(detector: Detector) -> str:
    """What a report calls a detector: the name it gives itself, or that of its function or class."""
    names = (getattr(detector, attribute, None) for attribute in ("name", "__name__"))
    return next((str(name) for name in names if name), type(detector).__name__)
