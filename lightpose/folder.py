"""Many picture files in, result files out: what the command `lightpose predict` does."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from lightpose.detect import detector_name
from lightpose.detect.coco_json import BoxFile, number_in_name
from lightpose.draw import draw_poses
from lightpose.errors import ImageError, LightposeError
from lightpose.evaluate.coco import coco_rows
from lightpose.images import IMAGE_SUFFIXES, decode_image, encode_image, read_image, write_aside
from lightpose.overlap import ahead, behind
from lightpose.pipeline import PoseEstimator
from lightpose.predict import HELD_BYTES, predict_many
from lightpose.types import Boxes, ImageArray, Poses

__all__ = ["Found", "Picture", "Results", "find_pictures", "predict_pictures", "stdin_picture"]


@dataclass(frozen=True)
class Picture:
    """A picture to read. name: its path below the output folder. content: its bytes, if it is not a file."""

    path: Path
    name: Path
    content: bytes | None = None

    def read(self) -> ImageArray:
        """The picture, upright. Raises ImageError if it cannot be read."""
        return read_image(self.path) if self.content is None else decode_image(self.content, str(self.path))


@dataclass(frozen=True, eq=False)
class Found:
    """The people of one picture. name: its path below the output folder. image_hw: its height and width."""

    name: Path
    image_id: int
    image_hw: tuple[int, int]
    poses: Poses

    def rows(self) -> list[dict[str, Any]]:
        """COCO keypoint results, one a person."""
        return [{**row, "file_name": str(self.name)} for row in coco_rows(self.image_id, self.poses)]

    def table(self) -> dict[str, Any]:
        """The same for people to read."""
        joints = self.poses.skeleton.joints
        people = [
            {
                "box": [round(float(value), 2) for value in box],
                "box_score": round(float(box_score), 4),
                "score": round(float(score), 4),
                "keypoints": {
                    joint: {"x": round(float(x), 2), "y": round(float(y), 2), "score": round(float(sure), 4)}
                    for joint, (x, y, sure) in zip(joints, points, strict=True)
                },
            }
            for box, box_score, score, points in zip(
                self.poses.boxes.xywh, self.poses.boxes.scores, self.poses.scores, self.poses.keypoints, strict=True
            )
        ]
        height, width = self.image_hw
        about = {"picture": str(self.name), "image_id": self.image_id, "width": width, "height": height}
        return {**about, "people": people}


@dataclass
class Results:
    """What a run found, ready to be written. about: what its reader must know. failed: what could not be used, why."""

    about: dict[str, Any]
    found: list[Found] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)

    @property
    def people(self) -> int:
        """How many people were found in all."""
        return sum(len(one.poses) for one in self.found)

    def write(self, out: Path) -> None:
        """Write keypoints.json and poses.json, each whole or not at all."""
        out.mkdir(parents=True, exist_ok=True)
        rows = ", ".join(json.dumps(row) for one in self.found for row in one.rows())
        write_aside(out / "keypoints.json", f"[{rows}]".encode())
        failed = [{"picture": str(path), "reason": reason} for path, reason in self.failed]
        # picture by picture, since all of them as objects take ten times the memory of their text
        pictures = ",\n".join(_readable(one.table()) for one in self.found)
        text = f'{_readable(self.about)[:-2]},\n "pictures": [\n{pictures}\n ],\n "failed": {_readable(failed)}\n}}\n'
        write_aside(out / "poses.json", text.encode(errors="backslashreplace"))  # of names that are no UTF-8


def _readable(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False)


def find_pictures(sources: Iterable[str], out: Path | None = None) -> list[Picture]:
    """The pictures that files, folders (with all below them) and glob patterns name, in order, each once.

    out: a folder whose pictures are earlier results; those below it are passed over when a folder is searched.
    Raises ImageError if a folder or pattern holds no picture. A named file that is missing is left to fail when read.
    """
    found: dict[str, tuple[Path, Path]] = {}
    for source in sources:
        path = Path(source)
        if path.is_dir():
            kept = (file for file in path.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES and _may_be_read(file))
            inside = sorted(file for file in kept if not _is_below(file, out, path))
            pairs = [(file, file.relative_to(path)) for file in inside]
        elif not path.exists() and glob.has_magic(source):
            pairs = [(Path(file), Path(Path(file).name)) for file in sorted(glob.glob(source, recursive=True))]  # noqa: PTH207
            pairs = [(file, name) for file, name in pairs if file.is_file()]
        else:
            pairs = [(path, Path(path.name))]
        if not pairs:
            raise ImageError(f"there is no picture in {source}; known kinds are {' '.join(sorted(IMAGE_SUFFIXES))}")
        for file, name in pairs:
            found.setdefault(os.path.abspath(file), (file, name))  # noqa: PTH100 - links stay apart
    names = _distinct([name for _, name in found.values()])
    return [Picture(path, name) for (path, _), name in zip(found.values(), names, strict=True)]


def _may_be_read(file: Path) -> bool:
    """Whether it is a file, or a link to one that is gone, which is to be told."""
    return file.is_file() or (file.is_symlink() and not file.exists())


def _is_below(file: Path, out: Path | None, searched: Path) -> bool:
    """Whether a file is in the output folder, unless that is what was to be searched."""
    if out is None or searched.resolve().is_relative_to(out.resolve()):
        return False
    return file.resolve().is_relative_to(out.resolve())


def stdin_picture(content: bytes) -> Picture:
    """A picture whose bytes came from standard input; it is written as stdin.png or stdin.jpg."""
    return Picture(
        Path("standard input"), Path("stdin.png" if content.startswith(b"\x89PNG") else "stdin.jpg"), content
    )


def predict_pictures(
    pictures: Sequence[Picture],
    estimator: PoseEstimator,
    out: Path,
    draw: bool = True,
    progress: Callable[[int], None] = lambda _: None,
) -> Results:
    """Find the poses in pictures and write what was found: keypoints.json, poses.json and the drawn pictures.

    progress: called with the number of pictures done. A picture that cannot be used is listed in the results; the
    others are written all the same. If none could be used, nothing is written. While the network runs, the next
    pictures are read and the last ones drawn, in a thread each: a batch of pictures, or `HELD_BYTES` of them beside
    one, is held ahead and as many behind. Raises ImageError if `out` would overwrite a source picture.
    """
    for picture in pictures if draw else ():
        if (out / picture.name).resolve() == picture.path.resolve():
            raise ImageError(f"the drawn picture would overwrite {picture.path}; name another folder with --out")
    results = Results(_describe(estimator))
    numbers = _image_ids(pictures, estimator)
    count = estimator.options.batch  # so that one batch is read, and one drawn, while the network runs another
    finish = partial(_finish, out if draw else None, estimator)
    with closing(ahead(_read, pictures, count, HELD_BYTES, _held)) as read:
        found = predict_many(_usable(read, estimator, results), estimator.runtime, estimator.options)
        with closing(behind(finish, found, count, HELD_BYTES, lambda one: _held(one[0]))) as finished:
            for picture, image, poses in finished:
                results.found.append(Found(picture.name, numbers[picture.name], image.shape[:2], poses))
                progress(len(results.found) + len(results.failed))
    order = {picture.path: place for place, picture in enumerate(pictures)}
    results.failed.sort(key=lambda failed: order[failed[0]])
    if results.found:
        results.write(out)
    return results


def _read(picture: Picture) -> tuple[Picture, ImageArray | ImageError]:
    """The picture with its pixels, or with why they cannot be had."""
    try:
        return picture, picture.read()
    except ImageError as error:
        return picture, error


def _held(read: tuple[Picture, ImageArray | ImageError]) -> int:
    """Bytes of its pixels."""
    return 0 if isinstance(read[1], ImageError) else read[1].nbytes


def _finish(
    out: Path | None, estimator: PoseEstimator, found: tuple[tuple[Picture, ImageArray], Poses]
) -> tuple[Picture, ImageArray, Poses]:
    """Leave out whom the estimator leaves out, and draw the others into a folder, if there is one."""
    (picture, image), poses = found
    poses = estimator.choose(poses)
    if out is not None:
        _write_drawn(out / picture.name, draw_poses(image, poses))
    return picture, image, poses


def _usable(
    read: Iterable[tuple[Picture, ImageArray | ImageError]], estimator: PoseEstimator, results: Results
) -> Iterator[tuple[tuple[Picture, ImageArray], ImageArray, Boxes]]:
    """Pictures that could be read, with boxes that fit them; the others are noted as failed."""
    for picture, image in read:
        try:
            if isinstance(image, ImageError):
                raise image
            found = estimator.find_people(image, picture.path)
            found.check_inside(*image.shape[:2])
        except LightposeError as error:
            results.failed.append((picture.path, str(error)))
        else:
            yield (picture, image), image, found


def _describe(estimator: PoseEstimator) -> dict[str, Any]:
    """What a reader of poses.json must know to judge its figures."""
    spec, options, detector = estimator.runtime.spec, estimator.options, estimator.detector
    return {
        "model": spec.model,
        "engine": estimator.runtime.name,
        "boxes": "given" if isinstance(detector, BoxFile) else detector_name(detector),
        "box_threshold": getattr(detector, "threshold", estimator.detector_threshold),
        "least_score": estimator.least_score,
        "padding": options.crop_padding(spec),
        "decoder": options.decoder or spec.decoder,
        "flip": options.flip,
        "joints": list(spec.skeleton.joints),
    }


def _write_drawn(path: Path, drawn: ImageArray) -> None:
    """In the format of the picture's name, or as PNG, with .png added, where that cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        content = encode_image(drawn, path.suffix)
    except ImageError:
        path, content = path.with_name(f"{path.name}.png"), encode_image(drawn, ".png")
    write_aside(path, content)


def _image_ids(pictures: Sequence[Picture], estimator: PoseEstimator) -> dict[Path, int]:
    """A number for each picture: the box file's or the one it is named by, if all have different ones, else 1, 2…"""
    boxes = estimator.detector if isinstance(estimator.detector, BoxFile) else None
    named = [boxes.image_id(picture.path.absolute()) if boxes else number_in_name(picture.path) for picture in pictures]
    numbers = [number for number in named if number is not None]
    if len(set(numbers)) < len(pictures):
        numbers = list(range(1, len(pictures) + 1))
    return {picture.name: number for picture, number in zip(pictures, numbers, strict=True)}


def _distinct(names: Sequence[Path]) -> list[Path]:
    """The names in their order, with a number added to those that were taken before."""
    taken: dict[Path, None] = {}
    for name in names:
        number, free = 1, name
        while free in taken:
            number += 1
            free = name.with_name(f"{name.stem}_{number}{name.suffix}")
        taken[free] = None
    return list(taken)
