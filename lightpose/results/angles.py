"""Angles of people over time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lightpose.errors import ConfigError
from lightpose.ops.angles import ANGLES
from lightpose.ops.series import butterworth, derivative, unwrapped
from lightpose.results.frames import FrameLibrary, native_frame

__all__ = ["Angles"]


@dataclass(frozen=True, eq=False, repr=False)
class Angles:
    """Angles of P people in T frames.

        angles = tracks.angles()
        angles["left_knee"]  # (T, P) degrees
        angles.velocities(hz=6)["left_knee"]  # (T, P) degrees a second

    values: (T, P, A), NaN where a joint is missing. names: of the A angles; `ops.angles.ANGLES` defines them. frame,
    time_s: (T,). ids: (P,). unit: deg, or deg/s of velocities.
    """

    values: NDArray[np.float64]
    names: tuple[str, ...]
    frame: NDArray[np.int64]
    time_s: NDArray[np.float64]
    ids: NDArray[np.int64]
    unit: Literal["deg", "deg/s"] = "deg"

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """(T, P) of one angle. Raises ConfigError, which lists the known ones, if there is none of this name."""
        if name not in self.names:
            raise ConfigError(f"there is no angle {name!r}; there are {', '.join(self.names)}")
        return self.values[..., self.names.index(name)]

    def __repr__(self) -> str:
        return f"Angles({len(self.frame)} frames, {len(self.ids)} people, {len(self.names)} angles, {self.unit})"

    def velocities(self, hz: float | None = 6.0) -> Angles:
        """How fast the angles change, in degrees a second: the derivative after a Butterworth filter.

        A whole turn is no jump. hz: of the filter; None takes the angles as they are. Raises ConfigError if the frames
        have no times, or too few a second for that frequency.
        """
        if not np.isfinite(self.time_s).all():
            raise ConfigError("the frames have no times; give frames a second where they are read, such as fps=30")
        turns = [ANGLES[name].turn_deg for name in self.names]
        whole = np.stack([unwrapped(self.values[..., n], turn) for n, turn in enumerate(turns)], -1)
        calm = whole if hz is None else butterworth(whole, self.time_s, hz)
        return replace(self, values=derivative(calm, self.time_s), unit="deg/s")

    def columns(self) -> dict[str, Any]:
        """A row for each frame and person who has an angle: frame, time_s, person, and the angles."""
        frame, person = np.nonzero(np.isfinite(self.values).any(-1))
        found: dict[str, Any] = {"frame": self.frame[frame], "time_s": self.time_s[frame], "person": self.ids[person]}
        return found | {name: self.values[frame, person, number] for number, name in enumerate(self.names)}

    def to_frame(self, library: FrameLibrary | None = None) -> Any:
        """The same as a frame of pandas, polars or pyarrow, the first that is installed if none is named."""
        return native_frame(self.columns(), library)
