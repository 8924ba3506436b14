"""A contact sheet of a labelled set's pictures with predicted skeletons, to be looked at.

python benchmarks/contact_sheet.py --annotations val.json --images val2017 --out sheet.jpg
"""

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import tyro

from lightpose.data.coco import read_coco
from lightpose.draw import draw_poses
from lightpose.images import encode_image, read_image, write_aside
from lightpose.pipeline import PoseEstimator
from lightpose.sheet import contact_sheet, fit
from lightpose.types import Boxes
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


def main(options: Options) -> None:
    """Predict with given boxes and flip test, draw, and write the sheet, four pictures a row."""
    estimator = PoseEstimator(options.model, flip=True)
    people = sorted(read_coco(options.annotations, options.images).persons(), key=lambda person: person.image_id)
    groups = [list(group) for _, group in groupby(people, key=lambda person: person.image_id)]
    tiles = []
    for group in groups[:: options.every][: options.count]:
        image = read_image(group[0].image_path, exif=False)
        poses = estimator.predict(image, Boxes(np.stack([person.box_xywh for person in group])))
        tiles.append(fit(draw_poses(image, poses), options.tile_hw))
    write_aside(options.out, encode_image(contact_sheet(tiles, columns=4), options.out.suffix))
    print(f"{options.out}: {min(len(groups), options.count)} pictures")


if __name__ == "__main__":
    main(tyro.cli(Options))
