"""Labels written for annotation tools, so that a person corrects instead of clicking."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from lightpose.data.coco import CocoFile
from lightpose.data.stored import read_labelled
from lightpose.formats import Options, write_pairs
from lightpose.formats.coco import coco_poses
from lightpose.formats.label_studio import labeling_config
from lightpose.io.files import write_aside
from lightpose.results import Poses
from lightpose.types import ImageArray

__all__ = ["LabelFormat", "config_beside", "write_pre_labels"]

LabelFormat = Literal["coco", "yolo-pose", "cvat", "label-studio"]
"""Formats that annotation tools import."""


def write_pre_labels(source: CocoFile, document: dict[str, Any], out: Path, kind: LabelFormat) -> list[Path]:
    """Write a document, as `label_persons` gives it, in a tool's format; visibility 1 is hidden there.

    out: a file, or for YOLO-pose a new folder, which gets the images too. Label Studio's labelling interface is
    written beside it. Gives the paths. Raises ConfigError if the folder has something in it.
    """
    if kind == "coco":
        write_aside(out, json.dumps(document).encode())
        return [out]
    sized = [
        {**own, "file_name": read["file_name"], "height": read["height"], "width": read["width"]}
        for own, read in zip(document["images"], source.document["images"], strict=True)
    ]
    frames = coco_poses({**document, "images": sized}, source.path, Options())
    upright = {row["file_name"]: bool(row.get("upright")) for row in source.document["images"]}

    def pairs() -> Iterator[tuple[Poses, ImageArray | None]]:
        for poses in frames:
            pixels = kind == "yolo-pose" and poses.image_hw is not None
            path = source.images / poses.name
            yield poses, read_labelled(path, poses.image_hw or (0, 0), upright[poses.name]) if pixels else None

    write_pairs(pairs(), out, kind)
    if kind != "label-studio":
        return [out]
    write_aside(config_beside(out), labeling_config(source.skeleton).encode())
    return [out, config_beside(out)]


def config_beside(out: Path) -> Path:
    """Where Label Studio's labelling interface is written."""
    return out.with_name(f"{out.stem}_config.xml")
