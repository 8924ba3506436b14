"""Picture and boxes → poses: crop, network, flip test, decode, back to the picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from lightpose.codec import decode, flip_shift, merge_flip
from lightpose.errors import ConfigError, WeightsError
from lightpose.geometry import crop_matrices, heatmap_scale, invert, transform_points, warp
from lightpose.oks import person_scores
from lightpose.runtime import Runtime
from lightpose.types import Boxes, DecoderName, FloatArray, ImageArray, Poses

__all__ = ["PredictOptions", "predict_crops", "predict_many", "predict_poses"]

Key = TypeVar("Key")


@dataclass(frozen=True)
class PredictOptions:
    """How to predict.

    flip: average with the mirrored crop, twice the work. decoder, beta: None for the weights' own. batch: crops at a
    time.
    """

    flip: bool = False
    decoder: DecoderName | None = None
    beta: float | None = None
    batch: int = 8

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ConfigError(f"batch must be at least 1, not {self.batch}")
        if self.decoder is not None and self.decoder not in get_args(DecoderName):
            raise ConfigError(f"decoder {self.decoder!r} is unknown; use {', '.join(get_args(DecoderName))}")
        if self.beta is not None and not self.beta > 0:
            raise ConfigError(f"beta must be above 0, not {self.beta}")


def predict_crops(crops: ImageArray, runtime: Runtime, options: PredictOptions) -> FloatArray:
    """Keypoints of crops that are already cut.

    crops: (N, H, W, 3) uint8 RGB of the spec's size. Returns (N, K, 3): x, y in crop pixels, score.
    Raises WeightsError if the network gives no finite numbers.
    """
    spec = runtime.spec
    heatmaps = runtime.heatmaps(crops)
    if options.flip:
        mirrored = runtime.heatmaps(np.ascontiguousarray(crops[:, :, ::-1]))
        heatmaps = merge_flip(heatmaps, mirrored, spec.skeleton.flip_order, flip_shift(spec.geometry))
    if not np.isfinite(heatmaps).all():
        raise WeightsError(
            "the network's heatmaps are not finite numbers: its weights are damaged or training diverged"
        )
    keypoints = decode(heatmaps, options.decoder or spec.decoder, options.beta or spec.beta)
    keypoints[..., :2] *= heatmap_scale(spec.input_hw, spec.heatmap_hw, spec.geometry)
    return keypoints


@dataclass(frozen=True)
class _Pending(Generic[Key]):
    """A picture whose crops are cut and wait for a full batch."""

    key: Key
    boxes: Boxes
    crops: ImageArray
    matrices: NDArray[np.float64]


def predict_many(
    pictures: Iterable[tuple[Key, ImageArray, Boxes]], runtime: Runtime, options: PredictOptions
) -> Iterator[tuple[Key, Poses]]:
    """Poses of many pictures, in their order, with the crops of all of them run in full batches.

    pictures: (key, picture, boxes); the key comes back with the poses. At most a batch of pictures, and a batch of
    crops beside one picture's own, are held at a time. Raises BoxesError if a box has no area or lies outside its
    picture.
    """
    waiting: list[_Pending[Key]] = []
    count = 0
    for key, image, boxes in pictures:
        waiting.append(_cut(key, image, boxes, runtime))
        count += len(boxes)
        if max(count, len(waiting)) >= options.batch:  # a picture with nobody in it is no crop, but is held too
            yield from _run(waiting, runtime, options)
            waiting, count = [], 0
    yield from _run(waiting, runtime, options)


def predict_poses(image: ImageArray, boxes: Boxes, runtime: Runtime, options: PredictOptions) -> Poses:
    """Poses of the boxed people of one RGB picture, in the order of the boxes."""
    return next(predict_many([(None, image, boxes)], runtime, options))[1]


def _cut(key: Key, image: ImageArray, boxes: Boxes, runtime: Runtime) -> _Pending[Key]:
    spec = runtime.spec
    boxes.check_inside(*image.shape[:2])
    matrices = crop_matrices(boxes.xywh, spec.input_hw, spec.geometry)
    return _Pending(key, boxes, warp(image, matrices, spec.input_hw), matrices)


def _run(waiting: list[_Pending[Key]], runtime: Runtime, options: PredictOptions) -> Iterator[tuple[Key, Poses]]:
    """Run the crops of all waiting pictures, and share the keypoints out again."""
    joints = len(runtime.spec.skeleton)
    crops = [crop for picture in waiting for crop in picture.crops]
    parts = [
        predict_crops(np.stack(crops[start : start + options.batch]), runtime, options)
        for start in range(0, len(crops), options.batch)
    ]
    keypoints = np.concatenate([np.zeros((0, joints, 3), np.float32), *parts])
    start = 0
    for picture in waiting:
        mine = keypoints[start : start + len(picture.boxes)]
        start += len(picture.boxes)
        points = transform_points(mine[..., :2], invert(picture.matrices))
        placed = np.concatenate([points, mine[..., 2:]], axis=-1)
        scores = person_scores(placed, picture.boxes.scores)
        yield picture.key, Poses(placed, scores, picture.boxes, runtime.spec.skeleton)
