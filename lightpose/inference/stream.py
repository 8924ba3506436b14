"""From frames to poses: detect, crop, run the network, decode. Photos, folders and videos all go through `stream`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from lightpose.errors import LightposeError
from lightpose.inference.top_down import PredictOptions, predict_boxed
from lightpose.results import Boxes, Poses
from lightpose.runtime import Runtime
from lightpose.types import Frame, ImageArray

__all__ = ["stream"]


def stream(
    frames: Iterable[Frame],
    find: Callable[[Frame], Boxes],
    runtime: Runtime,
    options: PredictOptions,
    failed: Callable[[Frame, LightposeError], None] | None = None,
) -> Iterator[tuple[Frame, Poses]]:
    """Yield each frame with its poses, in order; the poses are in the order of the boxes. One batch holds crops from
    several frames.

    find: finds the people of a frame. failed: called with each frame that cannot be used; the frame is left out.
    Without it, the error is raised. Holds at most a batch of frames.
    """

    def boxed() -> Iterator[tuple[Frame, ImageArray, Boxes]]:
        for frame in frames:
            try:
                boxes = find(frame)
                boxes.check_inside(*frame.image.shape[:2])
            except LightposeError as error:
                if failed is None:
                    raise
                failed(frame, error)
            else:
                yield frame, frame.image, boxes

    for frame, poses in predict_boxed(boxed(), runtime, options):
        yield frame, replace(poses, name=frame.name, frame=frame.index, time_s=frame.time_s)
