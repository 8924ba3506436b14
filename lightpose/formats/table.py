"""The formats: one row each. What reads and writes one is loaded when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from lightpose.errors import ConfigError
from lightpose.formats.base import Options, Writer
from lightpose.results import Poses

__all__ = ["ALL", "FORMATS", "Format", "format_named"]

ALL = frozenset(
    {"ids", "times", "joints", "joint scores", "scores", "boxes", "states", "raw joints", "image sizes", "everybody"}
)
"""What a format may hold. Everybody: all people of a frame."""


@dataclass(frozen=True)
class Format:
    """A format. reader, writer: module and name below lightpose.formats; empty if there is none. suffix: of its files;
    "/" of a folder. lacks: what of `ALL` it does not hold. name: of its file in the folder of `lightpose predict`."""

    name: str
    reader: str
    writer: str
    suffix: str
    lacks: frozenset[str]
    file: str

    def read(self, path: Path, options: Options) -> Iterator[Poses]:
        """The frames of a file, in turn."""
        if not self.reader:
            raise ConfigError(f"{self.name} is written only; {path} cannot be read")
        frames: Iterator[Poses] = _load(self.reader)(path, options)
        return frames

    def writer_to(self, place: Any, options: Options) -> Writer:
        """A writer. place: an open file, or the folder."""
        writer: Writer = _load(self.writer)(place, options)
        return writer

    def limits(self, absent: Collection[str] = ()) -> str:
        """A sentence on what it does not hold; empty if it holds all. absent: of `ALL`, what there is none of."""
        lost = ", ".join(sorted(self.lacks - {"everybody", *absent}))
        one = "holds the one person who is in most frames" if "everybody" in self.lacks else ""
        parts = [*([one] if one else []), *([f"{'' if one else 'holds '}no {lost}"] if lost else [])]
        return f"{self.name} {', '.join(parts)}" if parts else ""

    @property
    def is_folder(self) -> bool:
        """Whether it is many files."""
        return self.suffix == "/"


def _load(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    loaded: Callable[..., Any] = getattr(import_module(f"lightpose.formats.{module}"), function)
    return loaded


def _row(name: str, reader: str, writer: str, suffix: str, lacks: str, file: str) -> Format:
    return Format(name, reader, writer, suffix, frozenset(filter(None, lacks.split(", "))), file)


FORMATS: dict[str, Format] = {
    each.name: each
    for each in (
        _row("jsonl", "jsonl:read_jsonl", "jsonl:JsonlWriter", ".jsonl", "", "copy.jsonl"),
        _row("csv", "csv_tables:read_csv", "csv_tables:CsvWriter", ".csv", "scores, boxes, image sizes", "poses.csv"),
        _row("csv-wide", "csv_tables:read_csv", "csv_tables:WideCsvWriter", ".csv",
             "raw joints, image sizes", "poses_wide.csv"),
        _row("parquet", "parquet:read_parquet", "parquet:ParquetWriter", ".parquet", "scores, boxes", "poses.parquet"),
        _row("openpose", "openpose:read_openpose", "openpose:OpenPoseFolder", "/",
             "times, scores, boxes, states, raw joints, image sizes", "openpose"),
        _row("openpose-zip", "openpose:read_openpose", "openpose:OpenPoseZip", ".zip",
             "times, scores, boxes, states, raw joints, image sizes", "openpose.zip"),
        _row("coco", "coco:read_coco_poses", "coco:CocoWriter", ".json",
             "joint scores, states, raw joints", "coco.json"),
        _row("coco-results", "coco:read_coco_results", "coco:CocoResultsWriter", ".json",
             "ids, times, boxes, states, raw joints, image sizes", "coco_results.json"),
        _row("yolo-pose", "yolo_pose:read_yolo_pose", "yolo_pose:YoloPoseFolder", "/",
             "ids, times, scores, joint scores, states, raw joints", "yolo-pose"),
        _row("trc", "opensim:read_trc", "opensim:TrcWriter", ".trc",
             "ids, scores, joint scores, boxes, states, raw joints, image sizes, everybody", "poses_px.trc"),
        _row("mot", "", "opensim:MotWriter", ".mot",
             "ids, joints, scores, joint scores, boxes, states, raw joints, image sizes, everybody", "angles.mot"),
        _row("dlc", "dlc:read_dlc", "dlc:DlcWriter", ".csv",
             "times, scores, boxes, states, raw joints, image sizes", "dlc.csv"),
        _row("mot-challenge", "mot_challenge:read_mot_challenge", "mot_challenge:MotChallengeWriter", ".txt",
             "times, joints, joint scores, states, raw joints, image sizes", "mot.txt"),
        _row("cvat", "cvat:read_cvat", "cvat:CvatWriter", ".xml",
             "times, scores, joint scores, boxes, states, raw joints", "cvat.xml"),
        _row("label-studio", "label_studio_tasks:read_label_studio", "label_studio:LabelStudioWriter",
             ".json", "states, raw joints", "label_studio.json"),
        _row("poses-json", "jsonl:read_poses_json", "", ".json", "", ""),
    )
}  # fmt: skip
"""By name. Adding one is one file and one row."""


def format_named(name: str) -> Format:
    """The format of that name. Raises ConfigError, which lists all, if there is none."""
    if name not in FORMATS:
        raise ConfigError(f"the format {name!r} is unknown; known are {', '.join(FORMATS)}")
    return FORMATS[name]
