"""What every reader of videos gives: the shots, and what is known of the whole."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from lightpose.types import ImageArray

__all__ = ["EARLY_S", "About", "Range", "Reader", "Shot"]

EARLY_S = 5e-4
"""A frame that comes so much before a time counts as of that time."""


class Shot(NamedTuple):
    """A decoded frame. stamp_s: its container's stamp in seconds from the start, None if it has none. image: makes the
    image (H, W, 3) uint8 RGB, upright; raises ImageError if it is too large. number: its place among all frames, where
    some before it could not be read."""

    stamp_s: float | None
    image: Callable[[], ImageArray]
    number: int | None = None


@dataclass(frozen=True)
class About:
    """What a source says of itself. rate: frames a second, about. count: frames, 0 if unknown. duration_s: None if it
    has no end that is known. sound: whether it has a track that can be heard. aspect: width of a pixel in heights."""

    rate: float = 30.0
    count: int = 0
    duration_s: float | None = None
    sound: bool = False
    aspect: tuple[int, int] = (1, 1)


@dataclass(frozen=True)
class Range:
    """A stretch of a video file, and what comes before it. Times are those of a player.

    start_s, end_s: of the stretch; the end is not taken, and None is the end of the file. from_s: where the run-up
    before it begins. first: number of the first frame of the run-up. seek_s: stamp of decoding of the keyframe from
    which that frame can be decoded; None for the beginning of the file. frames: of the stretch, as the container has
    them.
    """

    start_s: float = 0.0
    end_s: float | None = None
    from_s: float = 0.0
    first: int = 0
    seek_s: float | None = None
    frames: int = 0

    def holds(self, time_s: float) -> bool:
        """Whether a frame at that time is of the stretch itself."""
        return time_s > self.start_s - EARLY_S and (self.end_s is None or time_s <= self.end_s - EARLY_S)


class Reader(Protocol):
    """Reads a source once, in order."""

    about: About

    @property
    def lost(self) -> list[str]:
        """What could not be decoded, a sentence each; complete when the shots have ended."""

    def shots(self) -> Generator[Shot]:
        """The frames in the order in which they are shown."""

    def close(self) -> None:
        """Let go of the source."""
