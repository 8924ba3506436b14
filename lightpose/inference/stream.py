"""From frames to poses: detect, crop, run the network, decode. Photos, folders and videos all go through `stream`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from lightpose.errors import LightposeError
from lightpose.inference.top_down import PredictOptions, predict_boxed
from lightpose.io.sources import HELD_BYTES
from lightpose.results import Boxes, Poses
from lightpose.runtime import Runtime
from lightpose.types import Frame, ImageArray

__all__ = ["stream", "stream_whole"]

Found = TypeVar("Found")


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
    cannot be used; the frame is left out. Without it, the error is raised. Holds at most the frames of two batches and
    one more, beside those `together`.
    """

    def checked(group: Sequence[Frame]) -> list[Boxes | LightposeError]:
        found = _find(group, find)
        return [
            _checked(frame, each) if isinstance(each, Boxes) else each for frame, each in zip(group, found, strict=True)
        ]

    found = _each(frames, checked, failed, together)
    boxed: Iterable[tuple[tuple[Frame, float], ImageArray, Boxes]]
    boxed = (((frame, taken_ms), frame.image, boxes) for frame, boxes, taken_ms in found)
    if isinstance(frames, Sequence) and len(frames) == 1:
        boxed = list(boxed)
    for (frame, taken_ms), poses in predict_boxed(boxed, runtime, options):
        yield frame, _of_frame(poses, frame, {"detect": taken_ms})


def stream_whole(
    frames: Iterable[Frame],
    find: Callable[[Sequence[Frame]], list[Poses]],
    failed: Callable[[Frame, LightposeError], None] | None = None,
    together: int = 1,
) -> Iterator[tuple[Frame, Poses]]:
    """The same with a network that takes whole images. find: finds the poses of each of at most `together` frames."""
    for frame, poses, taken_ms in _each(frames, lambda group: _find(group, find), failed, together):
        yield frame, _of_frame(poses, frame, {"network": taken_ms})


def _of_frame(poses: Poses, frame: Frame, taken_ms: dict[str, float]) -> Poses:
    milliseconds = taken_ms | dict(poses.milliseconds)
    return replace(poses, name=frame.name, frame=frame.index, time_s=frame.time_s, milliseconds=milliseconds)


def _each(
    frames: Iterable[Frame],
    find: Callable[[Sequence[Frame]], Sequence[Found | LightposeError]],
    failed: Callable[[Frame, LightposeError], None] | None,
    together: int,
) -> Iterator[tuple[Frame, Found, float]]:
    """Each frame with what is found in it, and its share of the milliseconds that took.

    Those that cannot be used are told, or their error is raised.
    """
    for group in _groups(frames, together):
        start_s = time.perf_counter()
        all_found = find(group)
        taken_ms = 1000 * (time.perf_counter() - start_s) / len(group)
        for frame, found in zip(group, all_found, strict=True):
            if not isinstance(found, LightposeError):
                yield frame, found, taken_ms
            elif failed is None:
                raise found
            else:
                failed(frame, found)


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


def _find(group: Sequence[Frame], find: Callable[[Sequence[Frame]], list[Found]]) -> Sequence[Found | LightposeError]:
    """What is found in each frame, or why the frame cannot be used."""
    try:
        return find(group)
    except LightposeError as error:
        return [error] if len(group) == 1 else [each for frame in group for each in _find([frame], find)]


def _checked(frame: Frame, boxes: Boxes) -> Boxes | LightposeError:
    try:
        boxes.check_inside(*frame.image.shape[:2])
    except LightposeError as error:
        return error
    return boxes
