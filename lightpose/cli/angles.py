"""`lightpose angles`: angles of joints and segments over time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from lightpose.cli.marks import Reads, Writes

if TYPE_CHECKING:
    from lightpose.results import Angles as Found
    from lightpose.results import Tracks

__all__ = ["Angles"]


@dataclass(frozen=True)
class Angles:
    """Write the angles of joints and segments, by name, and how fast they change.

    A straight knee has 0°. The angles are those of the image plane: what turns towards the camera or away from it, one
    view cannot know. This is no medical device. docs/angles.md defines each.
    Example: lightpose angles poses/poses.jsonl --out angles.csv --plot angles.png
    """

    source: Annotated[Positional[Reads], arg(metavar="IN")]
    """Results of a video, such as poses.jsonl, or any file that lightpose convert reads."""
    out: Writes = Path("angles.csv")
    """The table: .csv of all people, or .mot of one for OpenSim."""
    velocities: Writes | None = None
    """A second table, in degrees a second: .csv or .mot."""
    plot: Writes | None = None
    """An image of the angles over time, .png or .svg. Needs pip install 'lightpose[plot]'."""
    names: tuple[str, ...] = ()
    """The angles, such as left_knee right_knee; all that the joints give if not given."""
    person: int | None = None
    """This person alone, by the id."""
    facing: Literal["auto", "right", "left"] = "auto"
    """Where people look in the image. auto: where the toes point; right if the results have no toes."""
    fill: Annotated[float, arg(metavar="SECONDS")] = 0.2
    """Bridge gaps of a joint up to so long; 0 bridges none."""
    hz: float = 6.0
    """Frequency of the Butterworth filter for the points, and for the velocities; 0 filters nothing."""
    min_score: float = 0.2
    """Joints that score less are left out."""
    fps: float | None = None
    """Frames a second, where IN has no times."""

    def run(self) -> int:
        """0 once all is written."""
        from lightpose.io.files import write_aside

        angles = self._tracks().angles(self.names or None, self.facing)
        found = {self.out: angles}
        if self.velocities is not None:
            found[self.velocities] = angles.velocities(self.hz or None)
        contents = {path: _content(path, table) for path, table in found.items()}
        if self.plot is not None:
            from lightpose.evaluate.plot import check_plot
            from lightpose.formats.angle_files import plot_angles

            contents[self.plot] = plot_angles(angles, check_plot(self.plot), self.plot.suffix)
        for path, content in contents.items():
            write_aside(path, content)
        print(f"{self.out}: frames: {len(angles.frame)}, people: {len(angles.ids)}, angles: {', '.join(angles.names)}")
        return 0

    def _tracks(self) -> Tracks:
        from lightpose.errors import ConfigError
        from lightpose.formats import frames_of, recognise
        from lightpose.formats.base import Options
        from lightpose.results import Tracks

        options = Options(self.fps)
        frames = (poses.above(self.min_score) for poses in frames_of(self.source, recognise(self.source), options))
        tracks = Tracks.from_frames(frames)
        if not tracks.tracked and len(tracks.ids) > 1:
            raise ConfigError(
                f"people of {self.source} have no ids, so they cannot be followed; run predict with --track"
            )
        tracks = tracks if self.person is None else tracks.person(self.person)
        tracks = tracks.fill(self.fill) if self.fill else tracks
        return tracks.smooth(hz=self.hz) if self.hz else tracks


def _content(path: Path, angles: Found) -> bytes:
    from lightpose.errors import ConfigError
    from lightpose.formats.angle_files import angles_csv
    from lightpose.formats.opensim import motion_text

    suffix = path.suffix.lower()
    if suffix not in (".mot", ".csv"):
        raise ConfigError(f"{path}: angles are written as .csv or .mot; choose one of these suffixes")
    if suffix == ".mot" and len(angles.ids) != 1:
        there = ", ".join(map(str, angles.ids[:20])) or "nobody"
        raise ConfigError(f"{path}: a .mot file has the angles of one person; add --person, of {there}")
    return (angles_csv(angles) if suffix == ".csv" else motion_text(angles)).encode()
