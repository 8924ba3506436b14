"""What every reader of videos gives: the shots, and what is known of the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from lightpose.types import ImageArray

__all__ = ["About", "Reader", "Shot"]


class Shot(NamedTuple):
    """A decoded frame. stamp_s: its container's stamp in seconds from the start, None if it has none. image: makes the
    image (H, W, 3) uint8 RGB, upright; raises ImageError if it is too large."""

    stamp_s: float | None
    image: Callable[[], ImageArray]


@dataclass(frozen=True)
class About:
    """What a source says of itself. rate: frames a second, about. count: frames, 0 if unknown. duration_s: None if it
    has no end that is known. sound: whether it has a track that can be heard. aspect: width of a pixel in heights."""

    rate: float = 30.0
    count: int = 0
    duration_s: float | None = None
    sound: bool = False
    aspect: tuple[int, int] = (1, 1)


class Reader(Protocol):
    """Reads a source once, in order.

    lost: what could not be decoded, a sentence each; complete when the shots have ended.
    """

    about: About
    lost: list[str]

    def shots(self) -> Iterator[Shot]:
        """The frames in the order in which they are shown."""

    def close(self) -> None:
        """Let go of the source."""
