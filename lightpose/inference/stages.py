"""What stands between poses and sinks in a video: stages that change each frame, and those that look ahead first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, runtime_checkable

from lightpose.errors import ConfigError
from lightpose.results import Poses
from lightpose.skeletons import Skeleton
from lightpose.types import ImageArray

__all__ = ["Chain", "LookAhead", "Stage", "Timed"]

Timed = tuple[Poses, float]
"""The poses of a frame, and its time in seconds."""


class Stage(Protocol):
    """Changes the poses of each frame, and remembers what it needs of those before: a Tracker or a Smoother."""

    def update(self, poses: Poses, time_s: float, image: ImageArray | None = None) -> Poses:
        """The poses of the next frame, changed; times never fall. image: the frame's pixels, if they are at hand."""

    def state(self) -> dict[str, Any]:
        """All that it remembers, ready for JSON."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""


@runtime_checkable
class LookAhead(Protocol):
    """Holds the poses of frames back until it has seen enough of what follows, and gives them in their order."""

    def feed(self, poses: Poses, time_s: float) -> list[Timed]:
        """Take the poses of the next frame, and give those of the frames before that are ready."""

    def finish(self) -> list[Timed]:
        """Give all that are left: no frame follows."""

    def state(self) -> dict[str, Any]:
        """All that it remembers, ready for JSON."""

    def restore(self, state: dict[str, Any], skeleton: Skeleton) -> None:
        """Go on from a state, of poses with that skeleton."""


class Chain:
    """Stages one after the other. What one gives, the next one takes."""

    def __init__(self, stages: Sequence[Stage | LookAhead]) -> None:
        self._stages = stages

    @property
    def looks_ahead(self) -> bool:
        """Whether poses may come out later than they go in."""
        return any(isinstance(stage, LookAhead) for stage in self._stages)

    def feed(self, poses: Poses, time_s: float, image: ImageArray | None = None) -> list[Timed]:
        """Take the poses of the next frame, and give those that are ready, in order.

        image: the frame's pixels, for the stages before one that looks ahead.
        """
        return self._from(0, [(poses, time_s)], image)

    def finish(self) -> list[Timed]:
        """Give all that are left."""
        ready: list[Timed] = []
        for number, stage in enumerate(self._stages):
            if isinstance(stage, LookAhead):
                ready += self._from(number + 1, stage.finish())
        return ready

    def state(self) -> tuple[Any, ...]:
        """What each stage remembers, ready for JSON."""
        return tuple(stage.state() for stage in self._stages)

    def restore(self, states: Sequence[Any], skeleton: Skeleton) -> None:
        """Go on from a state. Raises ConfigError if it is none of these stages."""
        if len(states) != len(self._stages):
            raise ConfigError(f"{len(states)} states are none of {len(self._stages)} stages")
        for stage, state in zip(self._stages, states, strict=True):
            if isinstance(stage, LookAhead):
                stage.restore(state, skeleton)
            else:
                stage.restore(state)

    def _from(self, number: int, items: Iterable[Timed], image: ImageArray | None = None) -> list[Timed]:
        for stage in self._stages[number:]:
            if isinstance(stage, LookAhead):
                items, image = [ready for poses, time_s in items for ready in stage.feed(poses, time_s)], None
            else:
                items = [(stage.update(poses, time_s, image), time_s) for poses, time_s in items]
        return list(items)
