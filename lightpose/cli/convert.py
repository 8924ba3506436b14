"""`lightpose convert`: results from one format to another."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from lightpose.cli.marks import Fills, Reads
from lightpose.io.files import check_place
from lightpose.io.places import Place, claimed

if TYPE_CHECKING:
    from lightpose.io.video import Video

__all__ = ["ConvertResults"]

FormatName = Literal[
    "jsonl", "csv", "csv-wide", "parquet", "openpose", "openpose-zip", "coco", "coco-results", "yolo-pose", "trc",
    "mot", "dlc", "mot-challenge", "cvat", "label-studio",
]  # fmt: skip
"""The formats that are written; a test holds this against `lightpose.formats.FORMATS`."""


@dataclass(frozen=True)
class ConvertResults:
    """Write results in the format of another tool, such as OpenSim, DeepLabCut, CVAT or a spreadsheet.

    What the format cannot hold is said in one sentence. A file is written whole or not at all; a folder must be new.
    Example: lightpose convert poses/poses.jsonl poses.parquet
    Example: lightpose convert poses/poses.jsonl walk_px.trc --person 1 --joints halpe26
    Example: lightpose convert poses/poses.jsonl labels --to yolo-pose --video clip.mp4
    """

    source: Annotated[Positional[Reads], arg(metavar="IN")]
    """A file or folder in one of the formats, such as poses.jsonl or poses.json of lightpose predict."""
    out: Annotated[Positional[Fills], arg(metavar="OUT")]
    """The file, or the new folder of a format that has many files."""
    to: FormatName | None = None
    """Format of OUT; told by its suffix if not given."""
    from_format: FormatName | Literal["poses-json"] | None = None
    """Format of IN; told by its content if not given."""
    video: Reads | None = None
    """The video, or the folder of images, that the poses are of: gives images, sizes and times where IN has none."""
    person: int | None = None
    """This person alone, by the id."""
    joints: Literal["coco17", "body25", "halpe26"] | None = None
    """The list of joints to write. A neck or mid-hip that IN lacks lies midway, and what it cannot have is missing."""
    fps: float | None = None
    """Frames a second, where IN has no times."""
    height: Annotated[float | None, arg(metavar="METRES")] = None
    """trc: the person's height; the places are then in metres. Holds in the one plane that the person moves in."""

    def run(self) -> int:
        """0 once all is written."""
        from lightpose.formats import format_of_output

        if format_of_output(self.out, self.to).is_folder:
            return self._convert()
        check_place(self.out)
        with claimed(Place("OUT", self.out)):
            return self._convert()

    def _convert(self) -> int:
        from lightpose.formats import convert

        pictures = self.video is not None and self.video.is_dir()
        seen, lost = convert(
            self.source,
            self.out,
            to=self.to,
            from_format=self.from_format,
            video=None if self.video is None or pictures else self._opened(self.video),
            images=self.video if pictures else None,
            person=self.person,
            joints=self.joints,
            fps=self.fps,
            height_m=self.height,
        )
        if lost:
            print(f"lightpose: {lost}", file=sys.stderr)
        print(f"{self.out}: frames: {seen.frames}, people: {seen.people}")
        return 0

    @staticmethod
    def _opened(path: Path) -> Video:
        from lightpose.io.video import read_video

        return read_video(str(path))
