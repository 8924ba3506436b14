"""What several tests share: a labelled data set that is drawn on the spot, and a "network" that finds its joints by
colour, so that the whole way from image to score can be walked with a known end."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from lightpose.io.images import encode_image
from lightpose.ops.geometry import heatmap_scale
from lightpose.skeletons import COCO17, from_category
from lightpose.types import ModelSpec

STANDING = {
    "nose": (0.50, 0.08), "left_eye": (0.56, 0.04), "right_eye": (0.44, 0.04), "left_ear": (0.64, 0.07),
    "right_ear": (0.36, 0.07), "left_shoulder": (0.72, 0.22), "right_shoulder": (0.28, 0.22),
    "left_elbow": (0.86, 0.38), "right_elbow": (0.14, 0.38), "left_wrist": (0.96, 0.53), "right_wrist": (0.04, 0.53),
    "left_hip": (0.63, 0.55), "right_hip": (0.37, 0.55), "left_knee": (0.66, 0.77), "right_knee": (0.34, 0.77),
    "left_ankle": (0.70, 0.98), "right_ankle": (0.30, 0.98), "neck": (0.50, 0.19), "head_top": (0.50, 0.00),
}  # fmt: skip
"""Where the joints of a standing person are, as shares of its width and height."""

PICTURE_HW = (160, 200)
GREY = 90


@dataclass(frozen=True)
class DrawnSet:
    """A data set on the disk: its annotation file and the folder of its pictures."""

    annotations: Path
    images: Path


def joint_colors(count: int) -> np.ndarray:
    """(count, 3) RGB: as many bright colours, evenly round the colour wheel."""
    hues = np.arange(count) * (180 / count)
    hsv = np.stack([hues, np.full(count, 255), np.full(count, 255)], -1).astype(np.uint8)
    return cv2.cvtColor(hsv[None], cv2.COLOR_HSV2RGB)[0]


def draw_set(
    folder: Path, people: Sequence[int] = (1, 2, 1), joints: Sequence[str] = COCO17.joints, seed: int = 0
) -> DrawnSet:
    """A COCO keypoint file and its pictures: that many stick figures on each, every joint a dot of its own colour."""
    generator = np.random.default_rng(seed)
    category = {"id": 1, "name": "person", "keypoints": list(joints)}
    skeleton, colors = from_category(category), joint_colors(len(joints)).tolist()
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for number, count in enumerate(people, start=1):
        picture = np.full((*PICTURE_HW, 3), GREY, np.uint8)
        for place in range(count):
            points = _figure(generator, joints, left=10 + place * 95)
            for a, b in skeleton.limb_indices:
                cv2.line(picture, points[a].tolist(), points[b].tolist(), (200, 200, 200), 1)
            for point, color in zip(points, colors, strict=True):
                cv2.circle(picture, point.tolist(), 3, color, -1)
            low, high = points.min(0) - 6, points.max(0) + 6
            box = [*low.tolist(), *(high - low).tolist()]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": 1,
                    "bbox": box,
                    "area": 0.6 * box[2] * box[3],
                    "iscrowd": 0,
                    "num_keypoints": len(joints),
                    "keypoints": np.insert(points, 2, 2, axis=1).ravel().tolist(),
                }
            )
        name = f"{number:04}.png"
        (folder / "images" / name).write_bytes(encode_image(picture, ".png"))
        images.append({"id": number, "file_name": name, "height": PICTURE_HW[0], "width": PICTURE_HW[1]})
    document = {"images": images, "annotations": annotations, "categories": [category]}
    (folder / "people.json").write_text(json.dumps(document))
    return DrawnSet(folder / "people.json", folder / "images")


def _figure(generator: np.random.Generator, joints: Sequence[str], left: int) -> np.ndarray:
    """(K, 2) whole pixels of one person, between `left` and 90 pixels right of it."""
    size = generator.uniform((50, 100), (70, 125))
    points = np.array([STANDING[joint] for joint in joints]) * size + generator.normal(0, 1.5, (len(joints), 2))
    corner = np.array([left + 8, generator.uniform(10, 20)])
    return np.round(points + corner).astype(int)


class ColorRuntime:
    """A Runtime whose heatmap of a joint says how near the crop's colour there is to the joint's colour."""

    name = "colors"
    precision = "float32"
    path = None

    def __init__(self, spec: ModelSpec, colors: np.ndarray | None = None) -> None:
        self.spec = spec
        self.batches: list[int] = []
        self._colors = joint_colors(len(spec.skeleton)) if colors is None else colors

    def heatmaps(self, crops: np.ndarray) -> np.ndarray:
        self.batches.append(len(crops))
        height, width = self.spec.heatmap_hw
        scale_x, scale_y = heatmap_scale(self.spec.input_hw, self.spec.heatmap_hw, self.spec.geometry)
        x, y = np.meshgrid(np.arange(width) * scale_x, np.arange(height) * scale_y)
        maps = np.empty((len(crops), len(self._colors), height, width), np.float32)
        for number, crop in enumerate(crops):
            for joint, color in enumerate(self._colors):
                near = np.exp(-((crop.astype(np.float32) - color) ** 2).sum(-1) / (2 * 40**2)).astype(np.float32)
                blurred = 4 * cv2.GaussianBlur(near, (0, 0), 4, borderType=cv2.BORDER_CONSTANT)  # small dots: about 1
                maps[number, joint] = cv2.remap(blurred, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)
        return maps
