"""From frames to poses: detect, crop, run the network, decode. Photos, folders and videos all go through `stream`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from lightpose.errors import LightposeError
from lightpose.inference.top_down import PredictOptions, predict_boxed
from lightpose.io.sources import HELD_BYTES
from lightpose.results import Boxes, Poses
from lightpose.runtime import Runtime
from lightpose.types import Frame, ImageArray

__all__ = ["stream"]


def stream(
    frames: Iterable[Frame],
    find: Callable[[Sequence[Frame]], list[Boxes]],
    runtime: Runtime,
    options: PredictOptions,
    failed: Callable[[Frame, LightposeError], None] | None = None,
    together: int = 1,
) -> Iterator[tuple[Frame, Poses]]:
    """Yield each frame with its poses, in order; the poses are in the order of the boxes. One batch holds crops from
    several frames.

    find: finds the people of each of some frames, at most `together` at a time. failed: called with each frame that
    cannot be used; the frame is left out. Without it, the error is raised. Holds at most a batch of frames beside
    those.
    """

    def boxed() -> Iterator[tuple[Frame, ImageArray, Boxes]]:
        for group in _groups(frames, together):
            for frame, boxes in zip(group, _find(group, find), strict=True):
                if isinstance(boxes, Boxes):
                    yield frame, frame.image, boxes
                elif failed is None:
                    raise boxes
                else:
                    failed(frame, boxes)

    for frame, poses in predict_boxed(boxed(), runtime, options):
        yield frame, replace(poses, name=frame.name, frame=frame.index, time_s=frame.time_s)


def _groups(frames: Iterable[Frame], count: int) -> Iterator[list[Frame]]:
    """So many frames at a time, or fewer if they are so large that `HELD_BYTES` are reached."""
    group: list[Frame] = []
    held = 0
    for frame in frames:
        group.append(frame)
        held += frame.image.nbytes
        if len(group) >= count or held >= HELD_BYTES:
            yield group
            group, held = [], 0
    if group:
        yield group


def _find(group: Sequence[Frame], find: Callable[[Sequence[Frame]], list[Boxes]]) -> list[Boxes | LightposeError]:
    """The people of each frame, or why the frame cannot be used."""
    try:
        found = find(group)
    except LightposeError as error:
        return [error] if len(group) == 1 else [each for frame in group for each in _find([frame], find)]
    return [_checked(frame, boxes) for frame, boxes in zip(group, found, strict=True)]


def _checked(frame: Frame, boxes: Boxes) -> Boxes | LightposeError:
    try:
        boxes.check_inside(*frame.image.shape[:2])
    except LightposeError as error:
        return error
    return boxes
