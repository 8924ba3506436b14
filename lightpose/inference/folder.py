"""Many picture files in, result files out: what the command `lightpose predict` does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from lightpose.detect import detector_name
from lightpose.detect.box_file import BoxFile
from lightpose.errors import ImageError, LightposeError
from lightpose.inference.estimator import PoseEstimator
from lightpose.inference.top_down import HELD_BYTES, predict_many
from lightpose.io.files import write_aside
from lightpose.io.images import encode_image
from lightpose.io.prefetch import ahead, behind
from lightpose.io.sources import Picture
from lightpose.results import Boxes, Poses, draw_poses, number_in_name
from lightpose.types import ImageArray

__all__ = ["Found", "Results", "predict_pictures"]


@dataclass(frozen=True, eq=False)
class Found:
    """The people of one picture. name: its path below the output folder. image_hw: its height and width."""

    name: Path
    image_id: int
    image_hw: tuple[int, int]
    poses: Poses

    def rows(self) -> list[dict[str, Any]]:
        """COCO keypoint results, one a person."""
        return [{**row, "file_name": str(self.name)} for row in self.poses.to_coco(self.image_id)]

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
