"""Labelled persons to look at: each cut out and drawn with its skeleton, on one image."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from lightpose.data.coco import CocoFile
from lightpose.data.stored import read_labelled
from lightpose.errors import ConfigError, DataError
from lightpose.ops.draw import draw_skeletons
from lightpose.ops.geometry import cut_crops, transform_points
from lightpose.ops.grid import caption, image_grid
from lightpose.skeletons import COCO17, LSP14, Skeleton
from lightpose.types import ImageArray, Person

__all__ = ["choose_persons", "preview_sheet"]

TILE_HW = (288, 240)


def choose_persons(source: CocoFile, count: int, seed: int = 0, ids: Sequence[int] = ()) -> list[Person]:
    """Labelled persons to show, in the file's order: those with the given annotation ids, or that many at random.

    Raises DataError if nobody is labelled or an id is not that of a labelled person.
    """
    if count < 1:
        raise ConfigError(f"count must be at least 1, not {count}")
    people = source.persons()
    if not people:
        raise DataError(f"{source.path} has no person with a labelled keypoint and a box")
    missing = set(ids) - {person.annotation_id for person in people}
    if missing:
        raise DataError(f"{source.path} has no labelled person whose annotation id is {min(missing)}")
    if ids:
        return [person for person in people if person.annotation_id in ids]
    chosen = np.random.default_rng(seed).permutation(len(people))[:count]
    return [people[number] for number in sorted(chosen.tolist())]


def preview_sheet(source: CocoFile, people: Sequence[Person], columns: int = 8) -> ImageArray:
    """A grid of those people: what the network sees of them, with box, skeleton, annotation id and file name.

    Raises ImageError if an image is missing or broken.
    """
    skeleton = _with_limbs(source.skeleton)
    return image_grid([_tile(person, skeleton) for person in people], columns)


def _tile(person: Person, skeleton: Skeleton) -> ImageArray:
    image = read_labelled(person.image_path, person.image_hw, person.upright)
    (crop,), matrices = cut_crops(image, person.box_xywh, TILE_HW, "msra")
    x, y, width, height = person.box_xywh.tolist()
    corners = transform_points([[[x, y], [x + width, y + height]]], matrices)[0].round().astype(int).tolist()
    cv2.rectangle(crop, corners[0], corners[1], (230, 230, 230), 1)
    points = transform_points(person.keypoints[None], matrices)
    labelled = person.visibility > 0
    keypoints = np.concatenate([points, labelled[None, :, None]], axis=-1).astype(np.float32)
    return caption(
        draw_skeletons(crop, keypoints, skeleton), f"{person.annotation_id}  {labelled.sum()}  {person.image_path.name}"
    )


def _with_limbs(skeleton: Skeleton) -> Skeleton:
    """The skeleton; one that has no limbs gets those of COCO and LSP whose joints it has."""
    known = dict.fromkeys((*COCO17.limbs, *LSP14.limbs))
    limbs = tuple(limb for limb in known if set(limb) <= set(skeleton.joints))
    return skeleton if skeleton.limbs else Skeleton(skeleton.name, skeleton.joints, limbs, skeleton.sigmas)
