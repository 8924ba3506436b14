"""Where the people in an image are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from lightpose.errors import ConfigError
from lightpose.results import Boxes, number_in_name
from lightpose.types import ImageArray

__all__ = ["BoxFunction", "Detector", "FunctionDetector", "SideBySideDetector", "as_detector", "check_threshold"]

BoxFunction = Callable[[ImageArray], Boxes]
"""A plain function that finds the people of an RGB image (H, W, 3)."""


@runtime_checkable
class Detector(Protocol):
    """What finds the people of an image.

    name: what a report calls it. path: the file it comes from, if any. threshold: least score of a box, None for no
    bound. min_person_score: of a person whose joints are known. given: whether its boxes are those of different people,
    so that similar poses are not merged.
    """

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> Path | None: ...
    @property
    def threshold(self) -> float | None: ...
    @property
    def min_person_score(self) -> float: ...
    @property
    def given(self) -> bool: ...

    def __call__(self, image: ImageArray, path: Path | None = None) -> Boxes:
        """People of an RGB image (H, W, 3). path: the image's file, by which a file of boxes goes."""

    def image_id(self, path: Path) -> int | None:
        """The number that results give the image at that path; None if it has none."""


@runtime_checkable
class SideBySideDetector(Detector, Protocol):
    """A detector that works on several images at once, on a core each. lanes: on how many."""

    @property
    def lanes(self) -> int: ...

    def find_all(self, images: Sequence[ImageArray]) -> list[Boxes]:
        """People of each of at most `lanes` RGB images, the same as one by one."""


@dataclass(frozen=True)
class FunctionDetector:
    """A plain function as a `Detector`."""

    function: BoxFunction
    path: Path | None = None
    threshold: float | None = None
    min_person_score: float = 0.0
    given: bool = False

    @property
    def name(self) -> str:
        """The name of the function, or of its class."""
        return str(getattr(self.function, "__name__", type(self.function).__name__))

    def __call__(self, image: ImageArray, path: Path | None = None) -> Boxes:  # noqa: ARG002 - it sees pixels alone
        return self.function(image)

    def image_id(self, path: Path) -> int | None:
        """The number that the image is named by, if it is."""
        return number_in_name(path)


def as_detector(detector: Detector | BoxFunction) -> Detector:
    """The detector itself, or the function as one."""
    return detector if isinstance(detector, Detector) else FunctionDetector(detector)


def check_threshold(threshold: float | None, name: str = "the detector's threshold") -> None:
    """Raise ConfigError unless the least score of a box, or of what else is named, is in [0, 1], or not given."""
    if threshold is not None and not 0 <= threshold <= 1:
        raise ConfigError(f"{name} must be from 0 to 1, not {threshold}")
