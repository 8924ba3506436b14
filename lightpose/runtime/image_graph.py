"""ONNX graphs that take whole images: person detectors, and networks that find boxes and joints at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from lightpose.errors import WeightsError
from lightpose.ops.letterbox import PAD
from lightpose.runtime.devices import CPU
from lightpose.runtime.graph import GraphInput, Outputs, Pixels, are_numbers, naming, open_hw
from lightpose.runtime.onnx import Session, SplitSession
from lightpose.types import ImageArray

__all__ = ["OPEN_SIDE", "ImageGraph"]

OPEN_SIDE = 640
"""Sides of the input where the file leaves them open: what most such networks were trained with."""

Found = TypeVar("Found")


class ImageGraph:
    """A graph that takes an image at a time, with ONNX Runtime; on the CPU several images go through it side by side.

    what: it should be, for errors. hw: height and width of its input; if not given, the graph's own, those in its
    metadata, or 640. threads: 0 for one on each usable core. device: as `find_device` gives it, none of OpenVINO's.
    Raises WeightsError if it takes no image.
    """

    def __init__(
        self, path: Path, threads: int, what: str, hw: tuple[int, int] | None = None, device: str = CPU
    ) -> None:
        self.path, self._what = path, what
        self._sessions = SplitSession(path, threads, device)
        self.metadata = self._sessions.first.metadata
        with naming(path):
            self.input = GraphInput.of(self._sessions.first.inputs, what, ranks=(3, 4))
            if self.input.batch not in (None, 1):
                raise WeightsError(f"it is no {what} that takes one image at a time: its input is {self.input.text}")
            self.hw = hw or self.input.size(open_hw(self.metadata) or (OPEN_SIDE, OPEN_SIDE))

    @property
    def lanes(self) -> int:
        """How many images are worked on at once."""
        return self._sessions.lanes.count

    def each(self, work: Callable[[ImageArray, Session], Found], images: Sequence[ImageArray]) -> list[Found]:
        """What the work gives for each image, in order; each thread takes whole images, and all of them an only one."""
        if len(images) == 1:
            return [work(images[0], self._sessions.together)]
        return self._sessions.lanes.map(lambda image: work(image, self._sessions.first), images)

    def grey(self) -> Outputs:
        """What the graph gives for an image with nothing on it, by which it is recognised."""
        return self.run(np.full((*self.hw, 3), PAD, np.uint8), Pixels(), self._sessions.first)

    def run(self, image: ImageArray, pixels: Pixels, session: Session) -> Outputs:
        """What the graph gives for an image (H, W, 3) of its size, by name, the batch's dimension included."""
        try:
            values = session.run({self.input.name: self.input.tensor(image[None], pixels)})
        except WeightsError as error:
            height, width = self.hw
            reason = type(error.__cause__).__name__
            raise WeightsError(f"it cannot be run on an image of {width}x{height} ({reason})") from error
        names = [output.name for output in session.outputs]
        strange = [name for name, value in zip(names, values, strict=True) if not are_numbers(value)]
        if strange:
            raise WeightsError(f"it is no {self._what}: its output {strange[0]} is no array of numbers")
        return dict(zip(names, values, strict=True))
