"""Video files cut into ranges of time, each of which can be read alone, with the numbers that its frames have."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from lightpose.errors import ImageError
from lightpose.io.video.pyav import AvReader, Packet, Source
from lightpose.io.video.reader import Video
from lightpose.io.video.shots import EARLY_S, Range
from lightpose.io.video.timing import LONGEST_GAP_S, Timing

__all__ = ["cut_video", "read_range"]

Floats = NDArray[np.float64]


def cut_video(source: Source, seconds: float, run_up_s: float) -> list[Range]:
    """The ranges of a video file: of so many seconds each, with a run-up before all but the first.

    The file is read once and not decoded. Ranges without frames are left out. A file whose packets do not say when
    their frames are shown, or jump back, is one range. Raises ImageError if it cannot be opened, or has no frame.
    """
    reader = AvReader(source)
    try:
        packets = list(reader.packets())
        times = _times(packets) if reader.has_frame_times else None
    finally:
        reader.close()
    if not packets:
        raise ImageError("no frame of it can be read: it is cut short or damaged; copy or download it again")
    if times is None:
        return [Range(frames=len(packets))]
    count = max(1, int(np.ceil((times[-1] + EARLY_S) / seconds)))
    starts = np.arange(count, dtype=np.float64) * seconds
    places = np.append(_place(times, starts), len(times))
    places[0] = 0
    froms: Floats = np.maximum(starts - run_up_s, 0.0)
    firsts, seeks = _place(times, froms), _seeks(packets, froms)
    found = []
    for number in np.flatnonzero(np.diff(places)).tolist():
        end_s = None if number == count - 1 else float(starts[number]) + seconds
        frames = int(places[number + 1] - places[number])
        rest = (float(froms[number]), int(firsts[number]), seeks[number]) if number else (0.0, 0, None)
        found.append(Range(float(starts[number]), end_s, *rest, frames))
    return found


def _place(times: Floats, starts: Floats) -> NDArray[np.intp]:
    """How many frames come before each time."""
    return np.searchsorted(times, starts - EARLY_S, side="right")


def _seeks(packets: list[Packet], starts: Floats) -> list[float | None]:
    """For each time, when the last keyframe that is shown by then is decoded, or shown if the container does not tell;
    None if there is no such keyframe."""
    stamps = [(each.stamp_s, each.decoded_s) for each in packets if each.is_key]
    keys = sorted((shown_s, shown_s if own_s is None else own_s) for shown_s, own_s in stamps if shown_s is not None)
    last = np.searchsorted([stamp_s for stamp_s, _ in keys], starts + EARLY_S, side="left") - 1
    return [keys[place][1] if place >= 0 else None for place in last.tolist()]


def _times(packets: list[Packet]) -> Floats | None:
    """When the frames are shown, rising; None if that cannot be told from the packets."""
    shown = [each.stamp_s for each in packets if each.is_shown]
    decoded = [each.decoded_s for each in packets if each.decoded_s is not None]
    if not shown or None in shown:
        return None
    times = np.sort(np.array(shown, np.float64))
    steps, order = np.diff(times), np.diff(np.array(decoded, np.float64))
    return times if (steps > 0).all() and (steps < LONGEST_GAP_S).all() and (order > 0).all() else None


def read_range(source: Source, range_: Range, name: str) -> Video:
    """The frames of a range and of its run-up, with the numbers that they have in the whole file.

    name: what results call them. Where frames before the run-up cannot be decoded, the numbers stay those of the
    container. Raises ImageError if the file cannot be opened.
    """
    make = partial(AvReader, source, range_=range_)
    return Video(make(), Timing(range_.from_s, range_.end_s), name, make=make, first=range_.first)
