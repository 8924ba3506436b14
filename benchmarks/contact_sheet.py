"""A contact sheet of a labelled set's pictures with predicted skeletons, to be looked at.

python benchmarks/contact_sheet.py --annotations val.json --images val2017 --out sheet.jpg
"""

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
import tyro

from lightpose.data.coco import read_coco
from lightpose.draw import draw_poses
from lightpose.images import encode_image, read_image, write_aside
from lightpose.pipeline import PoseEstimator
from lightpose.types import Boxes, ImageArray
from lightpose.weights import DEFAULT


@dataclass(frozen=True)
class Options:
    """annotations, images: a COCO keypoint file and its folder. out: the picture to write. every: take each n-th."""

    annotations: Path
    images: Path
    out: Path
    model: str = DEFAULT
    count: int = 12
    every: int = 1
    tile_hw: tuple[int, int] = (270, 360)


def tile(image: ImageArray, tile_hw: tuple[int, int]) -> ImageArray:
    """The picture fitted into a grey rectangle."""
    scale = min(tile_hw[0] / image.shape[0], tile_hw[1] / image.shape[1])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[: tile_hw[0], : tile_hw[1]]
    ground = np.full((*tile_hw, 3), 40, np.uint8)
    ground[: small.shape[0], : small.shape[1]] = small
    return ground


def main(options: Options) -> None:
    """Predict with given boxes and flip test, draw, and write the sheet, four pictures a row."""
    estimator = PoseEstimator(options.model, flip=True)
    people = sorted(read_coco(options.annotations, options.images).persons(), key=lambda person: person.image_id)
    groups = [list(group) for _, group in groupby(people, key=lambda person: person.image_id)]
    tiles = []
    for group in groups[:: options.every][: options.count]:
        image = read_image(group[0].image_path, exif=False)
        poses = estimator.predict(image, Boxes(np.stack([person.box_xywh for person in group])))
        tiles.append(tile(draw_poses(image, poses), options.tile_hw))
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 4)
    rows = [np.hstack(tiles[start : start + 4]) for start in range(0, len(tiles), 4)]
    write_aside(options.out, encode_image(np.vstack(rows), options.out.suffix))
    print(f"{options.out}: {min(len(groups), options.count)} pictures")


if __name__ == "__main__":
    main(tyro.cli(Options))
