"""OpenPose's JSON 1.3: a file for each frame, in a folder or a .zip.

Its page of the output format is doc/02_output.md of github.com/CMU-Perceptual-Computing-Lab/openpose.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import IO, Any

import numpy as np

from lightpose.errors import DataError
from lightpose.formats.base import Options, by_count, made, real, whole
from lightpose.io.files import write_aside
from lightpose.ops.joints import missing
from lightpose.results import Poses
from lightpose.skeletons import COCO17, Skeleton
from lightpose.types import ImageArray

__all__ = ["OpenPoseFolder", "OpenPoseZip", "openpose_document", "read_openpose"]

_NAME = re.compile(r"(?P<name>.*?)_?(?P<frame>\d+)_keypoints\.json", re.DOTALL)
_EMPTY = ("face_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d", "pose_keypoints_3d",
          "face_keypoints_3d", "hand_left_keypoints_3d", "hand_right_keypoints_3d")  # fmt: skip


class OpenPoseFolder:
    """NAME_000000000012_keypoints.json of frame 12, and so on. A missing joint is 0, 0, 0."""

    def __init__(self, folder: Path, _options: Options) -> None:
        self._folder, self._count = folder, 0
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, poses: Poses, _image: ImageArray | None = None, /) -> None:
        """Write the file of a frame."""
        name, content = _file(poses, self._count)
        self._put(name, content)
        self._count += 1

    def _put(self, name: str, content: bytes) -> None:
        write_aside(self._folder / name, content, sync=False)

    def close(self) -> None:
        """All is written."""


class OpenPoseZip(OpenPoseFolder):
    """The same files in one .zip."""

    def __init__(self, file: IO[bytes], _options: Options) -> None:
        self._zip, self._count = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED), 0

    def _put(self, name: str, content: bytes) -> None:
        self._zip.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)

    def close(self) -> None:
        """Write the list of files."""
        self._zip.close()


def _file(poses: Poses, number: int) -> tuple[str, bytes]:
    frame = number if poses.frame is None else poses.frame
    stem = PurePath(poses.name.replace("\\", "/")).stem or "frame"
    return f"{stem}_{frame:012}_keypoints.json", json.dumps(openpose_document(poses)).encode()


def openpose_document(poses: Poses) -> dict[str, Any]:
    """What the file of a frame holds, ready for JSON."""
    joints = np.where(missing(poses.keypoints)[..., None], 0, poses.keypoints).astype(np.float64)
    ids = [-1] * len(poses) if poses.ids is None else poses.ids.tolist()
    people = [
        {
            "person_id": [person],
            "pose_keypoints_2d": [round(value, 4) for value in values.ravel().tolist()],
            **{name: [] for name in _EMPTY},
        }
        for person, values in zip(ids, joints, strict=True)
    ]
    return {"version": 1.3, "people": people}


def read_openpose(path: Path, options: Options) -> Iterator[Poses]:
    """The frames of a folder, a .zip or one file, by the numbers in their names."""
    skeleton: Skeleton | None = None
    for where, name, content in _files(path):
        people = _people(content, where)
        counts = {len(person["pose_keypoints_2d"]) for person in people}
        if people and skeleton is None:
            skeleton = by_count(max(counts) // 3, where)
        yield _frame(people, skeleton or COCO17, name, where, options)


def _files(path: Path) -> Iterator[tuple[str, str, bytes]]:
    """Where, name and content of each file, in the order of the frames."""
    if path.is_dir():
        names = {file.name: file for file in path.iterdir() if file.name.endswith("_keypoints.json")}
        for name in _in_order(names, path):
            yield str(names[name]), name, names[name].read_bytes()
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            inside = {PurePath(each.filename).name: each for each in archive.infolist() if not each.is_dir()}
            for name in _in_order({n: f for n, f in inside.items() if n.endswith("_keypoints.json")}, path):
                if inside[name].file_size > 2**26:
                    raise DataError(f"{path}: {name} would have {inside[name].file_size} bytes; it is no frame's file")
                yield f"{path}/{name}", name, archive.read(inside[name])
    else:
        yield str(path), path.name, path.read_bytes()


def _in_order(names: dict[str, Any], path: Path) -> list[str]:
    if not names:
        raise DataError(
            f"{path} has no file whose name ends with _keypoints.json; name the folder of OpenPose's output"
        )
    found: dict[int, str] = {}
    for name in names:
        match = _NAME.fullmatch(name)
        if match is None:
            raise DataError(f"{path}: {name} has no number of a frame, as in clip_000000000012_keypoints.json")
        frame = int(match["frame"])
        if frame in found:
            raise DataError(
                f"{path}: {name} and {found[frame]} are both frame {frame}; put each video into its own folder"
            )
        found[frame] = name
    return [found[frame] for frame in sorted(found)]


def _people(content: bytes, where: str) -> list[dict[str, Any]]:
    try:
        people = json.loads(content)["people"]
        if all(isinstance(person["pose_keypoints_2d"], list) for person in people):
            return [person for person in people if person["pose_keypoints_2d"]]
    except (ValueError, LookupError, TypeError, RecursionError):
        pass
    raise DataError(f"{where}: this is no frame of OpenPose, which has people with pose_keypoints_2d each")


def _frame(people: list[dict[str, Any]], skeleton: Skeleton, name: str, where: str, options: Options) -> Poses:
    for person in people:
        if len(person["pose_keypoints_2d"]) != 3 * len(skeleton):
            given = len(person["pose_keypoints_2d"])
            raise DataError(
                f"{where}: {given} numbers are not x, y and score of {len(skeleton)} joints, as in the first file"
            )
    values = [[real(value, where) for value in person["pose_keypoints_2d"]] for person in people]
    joints = np.array(values).reshape(-1, len(skeleton), 3)
    joints[(joints == 0).all(-1)] = np.nan
    if np.isfinite(joints).any() and np.nanmax(np.abs(joints[..., :2])) <= 1:
        if options.image_hw is None:
            raise DataError(f"{where}: its places are shares of an image whose size is unknown; add --video")
        joints[..., :2] *= options.image_hw[::-1]
    ids = [
        whole(each[0] if isinstance(each, list) and each else -1, where)
        for each in (p.get("person_id") for p in people)
    ]
    match = _NAME.fullmatch(name)
    frame = int(match["frame"]) if match else 0
    tracked = all(each >= 0 for each in ids)
    return made(
        joints, skeleton, name=match["name"] if match else name, frame=frame, time_s=options.time_s(frame),
        image_hw=options.image_hw, ids=np.array(ids, np.int64) if tracked else None,
    )  # fmt: skip
