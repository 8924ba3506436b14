"""CVAT 1.1 XML: images with skeletons, or a video with a track for each person.

They are CVAT's formats "CVAT for images 1.1" and "CVAT for video 1.1" (docs.cvat.ai, XML annotation format). A joint
that is hidden is `occluded`, a missing one `outside`.
"""

from __future__ import annotations

import re
import tempfile
import zipfile
import zlib
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from lightpose.errors import DataError
from lightpose.formats.base import HIDDEN, Options, image_name, made, matching, real, visibility, whole
from lightpose.results import Poses
from lightpose.skeletons import COCO17, Skeleton
from lightpose.types import FloatArray, ImageArray

__all__ = ["IN_ZIP", "CvatWriter", "is_zip", "read_cvat"]

IN_ZIP = "annotations.xml"
"""What CVAT calls the file in its .zip."""
_LARGEST = 2**30
_SHAPES = frozenset({"box", "polygon", "polyline", "points", "cuboid", "ellipse", "mask"})

_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
"""What XML cannot hold at all."""


class CvatWriter:
    """Images as they come; a video, whose people have ids and times, track by track at the end.

    What the first frame with people has tells which. Rows wait in a temporary file, so that the memory stays flat.
    """

    def __init__(self, file: IO[bytes], options: Options) -> None:
        self._file, self._options = file, options
        self._rows: IO[bytes] = tempfile.SpooledTemporaryFile(2**24)  # noqa: SIM115 - closed in close
        self._numbers = array("q")
        self._first: Poses | None = None
        self._image_hw: tuple[int, int] | None = None
        self._video: bool | None = None
        self._places: dict[int, array[int]] = {}
        self._last: dict[int, FloatArray] = {}

    def write(self, poses: Poses, _image: ImageArray | None = None, /) -> None:
        """Take a frame."""
        if self._first is None:
            self._first = poses[:0]
        self._image_hw = self._image_hw or poses.image_hw
        number = _frame(poses, len(self._numbers))
        self._numbers.append(number)
        if self._video is None and len(poses):
            self._video = poses.ids is not None and poses.time_s is not None
            self._rows.truncate(0 if self._video else self._rows.tell())
            self._rows.seek(0, 2)
        if self._video:
            self._add_sights(poses, number)
        else:
            self._add(self._image(poses, number))

    def close(self) -> None:
        """Write it all."""
        skeleton = COCO17 if self._first is None else self._first.skeleton
        self._put('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n')
        self._put(self._meta(skeleton))
        for person, places in self._places.items():
            self._put(f'<track id="{person}" label="person" source="auto">\n')
            for start, end in zip(places[::2], places[1::2], strict=True):
                self._rows.seek(start)
                self._file.write(self._rows.read(end - start))
            self._put("</track>\n")
        self._rows.seek(0)
        while not self._video and (block := self._rows.read(2**20)):
            self._file.write(block)
        self._rows.close()
        self._put("</annotations>\n")

    def _put(self, text: str) -> None:
        self._file.write(_ILLEGAL.sub("?", text).encode())

    def _add(self, text: str) -> tuple[int, int]:
        """Append to the rows; gives where it begins and ends."""
        start = self._rows.tell()
        self._rows.write(_ILLEGAL.sub("?", text).encode())
        return start, self._rows.tell()

    def _meta(self, skeleton: Skeleton) -> str:
        height, width = self._image_hw or self._options.image_hw or (0, 0)
        numbers = self._numbers.tolist() or [0]
        step = int(np.diff(numbers).min()) if len(numbers) > 1 else 1
        even = numbers == list(range(numbers[0], numbers[-1] + 1, max(step, 1)))
        listed = "" if even else f"<frames>{' '.join(map(str, numbers))}</frames>\n"  # ours; CVAT has steps alone
        labels = "".join(
            f"<label><name>{escape(joint)}</name><type>points</type><attributes></attributes>"
            "<parent>person</parent></label>\n"
            for joint in skeleton.joints
        )
        name = escape("" if self._first is None else self._first.name)
        return (
            f"<meta>\n<task>\n<name>{name}</name>\n<size>{len(self._numbers)}</size>\n"
            f"<mode>{'interpolation' if self._video else 'annotation'}</mode>\n"
            f"<start_frame>{numbers[0]}</start_frame>\n<stop_frame>{numbers[-1]}</stop_frame>\n"
            f"<frame_filter>{f'step={step}' if step != 1 else ''}</frame_filter>\n<labels>\n<label><name>person</name>"
            f"<type>skeleton</type><attributes></attributes><svg></svg></label>\n{labels}</labels>\n"
            f"<original_size><width>{width}</width><height>{height}</height></original_size>\n{listed}"
            f"<source>{name}</source>\n</task>\n</meta>\n"
        )

    def _image(self, poses: Poses, number: int) -> str:
        height, width = poses.image_hw or self._options.image_hw or (0, 0)
        rows = "".join(
            f'<skeleton label="person" source="auto" z_order="0">\n{_joints(joints, poses.skeleton)}</skeleton>\n'
            for joints in poses.keypoints
        )
        name = f'id="{number}" name={quoteattr(image_name(poses, len(self._numbers) - 1))}'
        return f'<image {name} width="{width}" height="{height}">\n{rows}</image>\n'

    def _add_sights(self, poses: Poses, number: int) -> None:
        """The people of a frame, and an `outside` one for each who was in the last."""
        ids = [] if poses.ids is None else poses.ids.tolist()
        for person, joints in zip(ids, poses.keypoints, strict=False):
            place = self._add(_sight(joints, poses.skeleton, number, outside=False))
            self._places.setdefault(person, array("q")).extend(place)
        for person in self._last.keys() - set(ids):
            place = self._add(_sight(self._last[person], poses.skeleton, number, outside=True))
            self._places[person].extend(place)
        self._last = dict(zip(ids, poses.keypoints, strict=False))


def _frame(poses: Poses, number: int) -> int:
    return number if poses.frame is None else poses.frame


def _sight(keypoints: FloatArray, skeleton: Skeleton, frame: int, *, outside: bool) -> str:
    joints = _joints(keypoints, skeleton, f'frame="{frame}" keyframe="1" ', outside)
    mark = f'frame="{frame}" keyframe="1" outside="{int(outside)}" occluded="0" z_order="0"'
    return f"<skeleton {mark}>\n{joints}</skeleton>\n"


def _joints(keypoints: FloatArray, skeleton: Skeleton, more: str = "", outside: bool = False) -> str:
    marks = visibility(keypoints)
    points = np.where(marks[:, None] > 0, keypoints[:, :2], 0).tolist()
    return "".join(
        f'<points label={quoteattr(joint)} {more}source="auto" outside="{int(outside or mark == 0)}" '
        f'occluded="{int(mark == 1)}" points="{x:.2f},{y:.2f}"></points>\n'
        for joint, mark, (x, y) in zip(skeleton.joints, marks.tolist(), points, strict=True)
    )


def read_cvat(path: Path, options: Options) -> Iterator[Poses]:
    """The frames of images, or of a video; a joint that is occluded is hidden, one that is outside missing.

    path: the .xml, or the .zip in which CVAT gives it. Of several skeletons people are those called person, or the
    first that are used; others are left out, but for those of the same joints. Files with a document type are refused:
    the entities that it may declare can fill the memory.
    """
    root = _parse(path)
    images, tracks = root.findall("image"), root.findall("track")
    if not images and not tracks and root.find("meta") is None:
        raise DataError(f"{path} has no images and no tracks; export it from CVAT as CVAT for images or video 1.1")
    people, skeleton = _people(images, tracks, root, options)
    if images:
        yield from (
            _image(each, people, skeleton, f"{path}: image {each.get('name')}", n, options)
            for n, each in enumerate(images)
        )
    else:
        if len(tasks := {each.get("task_id") for each in tracks}) > 1:
            raise DataError(f"{path} has tracks of {len(tasks)} tasks, whose frames all begin anew; export each alone")
        yield from _video(root, [e for e in tracks if e.get("label", "") in people], skeleton, path, options)


def _parse(path: Path) -> ElementTree.Element:
    content = _content(path)
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise DataError(f"{path} has a document type, which CVAT writes none of; remove it")
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError) as error:
        raise DataError(f"{path} is no XML ({error}); export it anew") from error
    if root.tag != "annotations":
        raise DataError(f"{path} is no file of CVAT, whose outermost element is annotations")
    return root


def _content(path: Path) -> bytes:
    """The XML, out of the .zip if it is in one."""
    if path.suffix.lower() != ".zip" and not is_zip(path):
        return path.read_bytes()
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(IN_ZIP).file_size > _LARGEST:
                raise DataError(f"{path} holds more than {_LARGEST >> 30} GiB of XML; export fewer jobs at a time")
            return archive.read(IN_ZIP)
    except KeyError as error:
        raise DataError(
            f"{path} has no {IN_ZIP}, as CVAT's own format has; unpack it, and name the file of labels in it"
        ) from error
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise DataError(f"{path} is damaged, or locked ({error}); export it anew") from error


def is_zip(path: Path, name: str = "") -> bool:
    """Whether it is an archive, and one with that file in it if a name is given."""
    try:
        if not zipfile.is_zipfile(path):
            return False
        with zipfile.ZipFile(path) as archive:
            return not name or name in archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return False


def _people(
    images: list[ElementTree.Element], tracks: list[ElementTree.Element], root: ElementTree.Element, options: Options
) -> tuple[frozenset[str], Skeleton]:
    """The labels of the skeletons that are people, and their joints: by the labels of the task, else as used."""
    shapes = [(each, each.get("label", "")) for image in images for each in image.findall("skeleton")]
    shapes += [(each, track.get("label", "")) for track in tracks for each in track.findall("skeleton")]
    joints: dict[str, dict[str, None]] = {}
    for each in root.iter("label"):
        if each.findtext("type") == "points" and each.findtext("parent"):
            joints.setdefault(each.findtext("parent") or "", {})[each.findtext("name") or ""] = None
    for shape, label in [] if joints else shapes:
        joints.setdefault(label, {}).update(dict.fromkeys(e.get("label", "") for e in shape.findall("points")))
    plain = Counter(e.tag for parent in (*images, *tracks) for e in parent if e.tag in _SHAPES)
    if plain:
        named = ", ".join(f"{count} {tag}" for tag, count in plain.items())
        options.notes.append(f"shapes that are no skeletons are left out ({named})")
    used = Counter(label for _, label in shapes)
    if not joints:
        return frozenset(used), COCO17
    first = min(joints, key=lambda label: (not used[label], label.lower() != "person"))
    people = frozenset(label for label, names in joints.items() if set(names) == set(joints[first]))
    if others := {label: count for label, count in used.items() if label not in people}:
        named = ", ".join(map(repr, others))
        options.notes.append(f"{sum(others.values())} skeletons are of {named}, not of {first!r}; they are left out")
    return people, matching(tuple(joints[first]))


def _keypoints(shape: ElementTree.Element, skeleton: Skeleton, where: str) -> list[list[float]]:
    found = {joint: [np.nan, np.nan, 0.0] for joint in skeleton.joints}
    for each in shape.findall("points"):
        joint = each.get("label", "")
        if joint not in found:
            raise DataError(f"{where}: the joint {joint!r} is not one of the task's labels; correct its name")
        if each.get("outside") != "1":
            point = each.get("points", "").split(",")
            if len(point) != 2:
                raise DataError(f"{where}: {joint} has no points of x,y; correct it")
            found[joint] = [*(real(value, where) for value in point), HIDDEN if each.get("occluded") == "1" else 1.0]
    return list(found.values())


def _image(
    image: ElementTree.Element, labels: frozenset[str], skeleton: Skeleton, where: str, number: int, options: Options
) -> Poses:
    shapes = [each for each in image.findall("skeleton") if each.get("label", "") in labels]
    people = [_keypoints(each, skeleton, where) for each in shapes]
    size = (whole(image.get("height", 0), where), whole(image.get("width", 0), where))
    frame = whole(image.get("id", number), f"{where}: id")
    return made(
        np.array(people), skeleton, scores=np.ones(len(people)), name=image.get("name", ""), frame=frame,
        image_hw=size if all(size) else options.image_hw, time_s=options.time_s(frame),
    )  # fmt: skip


def _video(
    root: ElementTree.Element, tracks: list[ElementTree.Element], skeleton: Skeleton, path: Path, options: Options
) -> Iterator[Poses]:
    """The frames of the task; between two keyframes nobody is told of the person, who is absent."""
    found: dict[int, dict[int, list[list[float]]]] = {}
    for number, track in enumerate(tracks):
        person = whole(track.get("id", number), f"{path}: track {number}: id")
        for shape in track.findall("skeleton"):
            where = f"{path}: track {person}, frame {shape.get('frame')}"
            frame = whole(shape.get("frame"), where)
            if shape.get("outside") != "1" and any(e.get("outside") != "1" for e in shape.findall("points")):
                people = found.setdefault(frame, {})
                if person in people:
                    raise DataError(f"{where}: the track is twice in this frame; leave one out")
                people[person] = _keypoints(shape, skeleton, where)
    about = _task(root)
    numbers = set(found)
    if about.get("frames"):
        numbers |= {whole(each, f"{path}: frames") for each in about["frames"].split()}
    elif about.get("stop_frame", "").isdigit() and about.get("start_frame", "").isdigit():
        step = re.fullmatch(r"step=(\d{1,9})", about.get("frame_filter", ""))
        first, last = int(about["start_frame"]), min(int(about["stop_frame"]), 10**7)
        numbers |= set(range(first, last + 1, max(int(step[1]), 1) if step else 1))
    size = tuple(int(about.get(side) or 0) if (about.get(side) or "0").isdigit() else 0 for side in ("height", "width"))
    for frame in sorted(numbers):
        people = found.get(frame, {})
        yield made(
            np.array([*people.values()]), skeleton, scores=np.ones(len(people)), frame=frame,
            time_s=options.time_s(frame),
            ids=np.array([*people], np.int64), image_hw=(size[0], size[1]) if all(size) else options.image_hw,
            name=about.get("source") or path.stem,
        )  # fmt: skip


def _task(root: ElementTree.Element) -> Mapping[str, str]:
    meta: Any = root.find("meta")
    names = ("source", "start_frame", "stop_frame", "frame_filter", "width", "height", "frames")
    return {} if meta is None else {name: next((e.text or "" for e in meta.iter(name)), "") for name in names}
