"""OpenSim's TRC (places of markers) and MOT (angles), each of one person, as Sports2D and Pose2Sim write them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from lightpose.errors import ConfigError, DataError
from lightpose.formats.base import Options, made, matching, real, text_of, whole
from lightpose.results import Angles, Poses, Stack, Tracks
from lightpose.types import ImageArray

__all__ = ["MotWriter", "TrcWriter", "marker_name", "motion_text", "read_trc"]

_NAMES = {
    "hip": "Hip", "mid_hip": "Hip", "pelvis": "Hip", "head": "Head", "head_top": "Head", "neck": "Neck", "nose": "Nose",
}  # fmt: skip
_BACK = {new: old for old, new in _NAMES.items()}


def marker_name(joint: str) -> str:
    """What OpenSim's models of Pose2Sim call a joint: LKnee for left_knee."""
    if joint in _NAMES:
        return _NAMES[joint]
    side, _, rest = joint.partition("_")
    if side in ("left", "right") and rest:
        return side[0].upper() + "".join(part.capitalize() for part in rest.split("_"))
    return re.sub(r"\s+", "_", joint)


def _joint_name(marker: str) -> str:
    match = re.fullmatch(r"([LR])((?:[A-Z][a-z0-9]*)+)", marker)
    if match is None:
        return _BACK.get(marker, marker)
    parts = re.findall(r"[A-Z][a-z0-9]*", match[2])
    return "_".join([{"L": "left", "R": "right"}[match[1]], *(part.lower() for part in parts)])


class _OnePerson:
    """Keeps the frames of the one person, since the head of the file tells how many there are."""

    def __init__(self, file: IO[bytes], options: Options) -> None:
        self._file, self._options = file, options
        self._stack = Stack()

    def write(self, poses: Poses, _image: ImageArray | None = None, /) -> None:
        """Take a frame."""
        self._stack.add(poses)

    def _tracks(self) -> Tracks:
        tracks = Tracks(**self._stack.arrays())
        if len(tracks.ids) > 1 and tracks.tracked:
            seen = (tracks.state > 0).sum(0)
            tracks = tracks.person(int(tracks.ids[int(seen.argmax())]))
        elif len(tracks.ids) > 1:
            raise ConfigError(
                "people were not tracked, and the format holds one person; track them, or keep the largest"
            )
        if not len(tracks.ids):
            raise DataError("there is nobody to write, and the format needs a person")
        if not np.isfinite(tracks.time_s).all():
            raise ConfigError("the frames have no times, which the format needs; add --fps, such as --fps 30")
        return tracks


class TrcWriter(_OnePerson):
    """Places of one person: in pixels, y downwards, or in metres, y upwards, if the height is given."""

    def close(self) -> None:
        """Write it all."""
        tracks = self._tracks()
        if self._options.height_m is not None:
            tracks = tracks.scale(self._options.height_m)
        points = tracks.keypoints[:, 0, :, :2]
        names = [marker_name(joint) for joint in tracks.skeleton.joints]
        rate = _rate(tracks.time_s)
        head = [
            f"PathFileType\t4\t(X/Y/Z)\t{'metres' if tracks.unit == 'm' else 'pixels'}.trc",
            "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
            f"{rate:g}\t{rate:g}\t{len(tracks)}\t{len(names)}\t{tracks.unit}\t{rate:g}\t{tracks.frame[0]}\t{len(tracks)}",
            "Frame#\tTime\t" + "\t\t\t".join(names) + "\t\t",
            "\t\t" + "\t".join(f"X{n}\tY{n}\tZ{n}" for n in range(1, len(names) + 1)),
        ]
        self._file.write(("\n".join(head) + "\n").encode())
        places = 3 if tracks.unit == "px" else 6
        for frame, time_s, row in zip(tracks.frame.tolist(), tracks.time_s.tolist(), points, strict=True):
            fields = ["\t\t" if x != x else f"{x:.{places}f}\t{y:.{places}f}\t0" for x, y in row.astype(float).tolist()]
            line = "\t".join([str(frame), f"{time_s:.6f}", *fields])
            self._file.write(f"{line}\n".encode())


def _rate(time_s: NDArray[np.float64]) -> float:
    return round(float(1 / np.median(np.diff(time_s))), 3) if len(time_s) > 1 else 1.0


class MotWriter(_OnePerson):
    """Angles of one person in degrees; a missing one is nan."""

    def close(self) -> None:
        """Write it all."""
        self._file.write(motion_text(self._tracks().angles()).encode())


def motion_text(angles: Angles) -> str:
    """Angles of the one person as a MOT file."""
    names = angles.names
    head = [
        "Coordinates", "version=1", f"nRows={len(angles.frame)}", f"nColumns={len(names) + 1}", "inDegrees=yes", "",
        "Units are S.I. units (second, meters, Newtons, ...)",
        "If the header above contains a line with 'inDegrees', this indicates whether rotational values are in degrees "
        "(yes) or radians (no).", "", "endheader", "\t".join(["time", *names]),
    ]  # fmt: skip
    rows = (
        _mot_row(time_s, row) for time_s, row in zip(angles.time_s.tolist(), angles.values[:, 0].tolist(), strict=True)
    )
    return "\n".join([*head, *rows]) + "\n"


def _mot_row(time_s: float, values: Sequence[float]) -> str:
    return "\t".join([f"{time_s:.6f}", *("nan" if value != value else f"{value:.4f}" for value in values)])


def read_trc(path: Path, options: Options) -> Iterator[Poses]:
    """The frames of a TRC file in pixels, of one person; scores are 1. Raises DataError if it is in metres."""
    lines = text_of(path).splitlines()
    if len(lines) < 5 or not lines[0].startswith("PathFileType") or "\t" not in lines[3]:
        raise DataError(f"{path} is no TRC file, whose first line begins with PathFileType; name another")
    units = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=False)).get("Units", "")
    if units != "px" and "_px" not in path.stem:
        raise DataError(
            f"{path} is in {units or 'metres'}; only files in pixels are read, which Sports2D names …_px.trc"
        )
    names = [each.strip() for each in lines[3].split("\t")[2:] if each.strip()]
    skeleton = matching(tuple(_joint_name(each) for each in names))
    for number, line in enumerate(lines[5:], start=6):
        if not line.strip():
            continue
        fields, where = line.split("\t"), f"{path}:{number}"
        while len(fields) > 2 + 3 * len(names) and not fields[-1].strip():
            fields.pop()
        fields += [""] * (2 + 3 * len(names) - len(fields))
        if len(fields) != 2 + 3 * len(names):
            raise DataError(
                f"{where}: {len(fields)} fields are not a frame, a time, and x, y, z of {len(names)} markers"
            )
        values = np.array([real(each, where, True) for each in fields[2:]]).reshape(1, -1, 3)
        frame, gone = whole(fields[0], f"{where}: frame"), np.isnan(values[..., :2]).any(-1)
        values[..., 2] = np.where(gone, 0, 1)
        there = [] if gone.all() else [1]
        yield made(
            values[: len(there)], skeleton, name=path.stem, frame=frame, time_s=real(fields[1], f"{where}: time"),
            ids=np.array(there, np.int64), image_hw=options.image_hw,
        )  # fmt: skip
