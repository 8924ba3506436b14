"""A contact sheet of a labelled set's pictures with predicted skeletons, to be looked at.

python benchmarks/contact_sheet.py --annotations val.json --images val2017 --out sheet.jpg
python benchmarks/contact_sheet.py --annotations val.json --images val2017 --out groups.jpg --least 3 --detector builtin
"""

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
import tyro

from lightpose.data.coco import read_coco
from lightpose.inference.estimator import PoseEstimator
from lightpose.io.files import write_aside
from lightpose.io.images import encode_image, read_image
from lightpose.ops.grid import GROUND, image_grid
from lightpose.ops.letterbox import letterbox
from lightpose.results import Boxes, draw_poses
from lightpose.types import ImageArray
from lightpose.weights import DEFAULT


@dataclass(frozen=True)
class Options:
    """annotations, images: a COCO keypoint file and its folder. out: the picture to write. detector: what finds the
    people, as for lightpose predict; the file's own boxes if not given. least: labelled people in a picture. every:
    take each n-th.
    """

    annotations: Path
    images: Path
    out: Path
    model: str = DEFAULT
    detector: str | None = None
    count: int = 12
    least: int = 1
    every: int = 1
    tile_hw: tuple[int, int] = (270, 360)


def draw_boxes(image: ImageArray, boxes: Boxes) -> ImageArray:
    """A copy of the picture with thin boxes in green."""
    drawn = image.copy()
    width = max(1, round(max(image.shape[:2]) / 300))
    for left, top, wide, high in boxes.xywh.round().astype(int).tolist():
        cv2.rectangle(drawn, (left, top), (left + wide, top + high), (60, 220, 60), width)
    return drawn


def main(options: Options) -> None:
    """Predict with flip test, draw boxes and poses, and write the sheet, four pictures a row."""
    estimator = PoseEstimator(options.model, options.detector or "whole", flip=True, precision="float32")
    people = sorted(read_coco(options.annotations, options.images).persons(), key=lambda person: person.image_id)
    groups = [list(group) for _, group in groupby(people, key=lambda person: person.image_id)]
    chosen = [group for group in groups if len(group) >= options.least][:: options.every][: options.count]
    tiles = []
    for group in chosen:
        image = read_image(group[0].image_path, exif=False)
        given = None if options.detector else Boxes(np.stack([person.box_xywh for person in group]))
        poses = estimator.predict(image, given)
        drawn = draw_poses(draw_boxes(image, poses.boxes), poses)
        tiles.append(letterbox(drawn, options.tile_hw, GROUND).pixels)
    write_aside(options.out, encode_image(image_grid(tiles, columns=4), options.out.suffix))
    print(f"{options.out}: {len(chosen)} pictures")


if __name__ == "__main__":
    main(tyro.cli(Options))
