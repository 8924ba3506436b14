"""An image of predictions beside the labels, to see at a glance what a run has learned."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lightpose.data.coco import CocoFile
from lightpose.data.stored import read_labelled
from lightpose.inference.top_down import PredictOptions, predict_crops
from lightpose.ops.draw import draw_skeletons
from lightpose.ops.geometry import cut_crops, transform_points
from lightpose.ops.grid import image_grid
from lightpose.runtime import Runtime
from lightpose.skeletons import Skeleton
from lightpose.types import FloatArray, ImageArray, Person

__all__ = ["preview"]

COLUMNS = 6


def preview(source: CocoFile, runtime: Runtime, count: int = 12) -> ImageArray:
    """Persons of a file, spread evenly over it: the labels left, the prediction right, six pairs a row.

    Returns RGB (H, W, 3) uint8.
    """
    persons = source.persons()
    chosen = [persons[number] for number in np.unique(np.linspace(0, len(persons) - 1, count).astype(int))]
    spec = runtime.spec
    cut = [
        cut_crops(
            read_labelled(person.image_path, person.image_hw, person.upright),
            person.box_xywh,
            spec.input_hw,
            spec.geometry,
            spec.padding,
        )
        for person in chosen
    ]
    crops, matrices = (np.concatenate(parts) for parts in zip(*cut, strict=True))
    found = predict_crops(crops, runtime, PredictOptions(flip=True))
    pairs = [
        image_grid([_draw(crop, truth, source.skeleton), _draw(crop, answer, spec.skeleton)], 2)
        for crop, truth, answer in zip(crops, _labels(chosen, matrices), found, strict=True)
    ]
    return image_grid(pairs, COLUMNS)


def _labels(persons: list[Person], matrices: NDArray[np.float64]) -> FloatArray:
    """(N, K, 3): the labels in crop pixels, and 1 where there is one."""
    points = transform_points(np.stack([person.keypoints for person in persons]), matrices)
    seen = np.stack([person.visibility for person in persons]) > 0
    return np.concatenate([points, seen[..., None]], axis=-1)


def _draw(crop: ImageArray, keypoints: FloatArray, skeleton: Skeleton) -> ImageArray:
    return draw_skeletons(crop, keypoints[None], skeleton)
