"""What time means in a video: which frames are taken, and when they were filmed. The only place that changes it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lightpose.errors import ConfigError
from lightpose.io.video.shots import EARLY_S

__all__ = ["LONGEST_GAP_S", "Clock", "Timing"]

LONGEST_GAP_S = 6 * 3600.0
"""A stamp that is later than the one before by more is taken for damage."""


@dataclass(frozen=True)
class Timing:
    """Which frames of a source are taken, and what their times are.

        Timing(start_s=10, end_s=12, every=2, slowmo=8)

    start_s, end_s: seconds as a player shows them; the end is not taken. every: each how-many-th frame is taken.
    slowmo: how many times slower than life the file plays: 8 if filmed at 240 frames a second and saved at 30.
    Raises ConfigError if a value is none of these.
    """

    start_s: float = 0.0
    end_s: float | None = None
    every: int = 1
    slowmo: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.start_s < math.inf:
            raise ConfigError(f"--from must be seconds from 0 on, not {self.start_s}")
        if self.end_s is not None and not self.end_s > self.start_s:
            raise ConfigError(f"--to must be later than --from, {self.start_s:g} s, not {self.end_s:g}")
        if self.every < 1:
            raise ConfigError(f"--every must be 1 or more, not {self.every}")
        if not 0 < self.slowmo < math.inf:
            raise ConfigError(f"--slowmo must be above 0, not {self.slowmo}")

    def has_begun(self, player_s: float) -> bool:
        """Whether frames at that time of the player are taken; half a millisecond early is in time."""
        return player_s > self.start_s - EARLY_S

    def is_over(self, player_s: float) -> bool:
        """Whether no frame from that time of the player on is taken."""
        return self.end_s is not None and player_s > self.end_s - EARLY_S

    def filmed_s(self, player_s: float) -> float:
        """When a frame was filmed, in seconds of life, for the time that a player shows."""
        return player_s / self.slowmo

    def drawn_s(self, time_s: float) -> float:
        """Where in a drawn video a frame with that time goes: it plays as fast as its source, from --from on."""
        return max(0.0, time_s * self.slowmo - self.start_s)


class Clock:
    """Makes times that go up out of the stamps of a container, which may be missing or jump.

    step_s: time between frames where no stamp tells. faults: what was wrong, in words.
    """

    def __init__(self, step_s: float) -> None:
        self._step_s = step_s if 0 < step_s < 10 else 1 / 30
        self._last_s: float | None = None
        self._shift_s = 0.0
        self._missing = self._jumps = 0
        self._first_jump_s = 0.0

    def tell(self, stamp_s: float | None) -> float:
        """The time of the next frame, later than that of the last one."""
        last = self._last_s
        if stamp_s is None:
            self._missing += 1
            time_s = 0.0 if last is None else last + self._step_s
        else:
            time_s = stamp_s + self._shift_s
            if last is not None and not last < time_s <= last + LONGEST_GAP_S:
                self._first_jump_s = self._first_jump_s if self._jumps else last
                self._jumps += 1
                self._shift_s += last + self._step_s - time_s
                time_s = last + self._step_s
        self._last_s = time_s
        return time_s

    @property
    def faults(self) -> list[str]:
        """What was wrong with the stamps, a sentence each."""
        step = f"{self._step_s * 1000:.0f} ms"
        found = []
        if self._missing:
            found.append(f"{self._missing} frames have no time stamp; each was put {step} after the one before")
        if self._jumps:
            first = f"{self._first_jump_s:.2f} s"
            found.append(f"time stamps jump {self._jumps} times, first at {first}; there time goes on by {step}")
        return found
