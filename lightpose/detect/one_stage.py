"""The boxes of a network that finds boxes and joints at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lightpose.results import Boxes, number_in_name
from lightpose.runtime.one_stage import OneStageRuntime
from lightpose.types import ImageArray

__all__ = ["OwnBoxes"]


@dataclass(frozen=True)
class OwnBoxes:
    """A network as the `Detector` that it is as well. threshold: least score of a box."""

    network: OneStageRuntime
    threshold: float
    name: str = "the network's own"
    path: Path | None = None
    min_person_score: float = 0.0
    given: bool = False

    def __call__(self, image: ImageArray, path: Path | None = None) -> Boxes:  # noqa: ARG002 - it sees pixels alone
        return self.network.find(image, self.threshold).boxes

    def image_id(self, path: Path) -> int | None:
        """The number that the image is named by, if it is."""
        return number_in_name(path)
