"""The image store: each image of a detector's training data in a square of one size, letterboxed as in prediction.

A stored square is `STORE_SCALE` times the longer side of the detector's input, so that a closer look finds real pixels.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightpose.data.people import PeopleFile, Scene
from lightpose.data.store import file_name, open_pixels
from lightpose.data.stored import read_labelled
from lightpose.errors import DataError
from lightpose.ops.letterbox import letterbox
from lightpose.types import FloatArray, ImageArray

__all__ = ["STORE_SCALE", "PictureStore", "Ragged", "open_pictures"]

STORE_SCALE = 1.25
_VERSION = 1


@dataclass(frozen=True)
class Ragged:
    """Some boxes of each image: boxes (B, 4) of all, one after the other, and ends (N + 1,), where each's end."""

    boxes: FloatArray
    ends: NDArray[np.intp]

    @classmethod
    def of(cls, boxes: Sequence[FloatArray]) -> Ragged:
        """Each image's boxes (n, 4), joined."""
        return cls(np.concatenate([np.zeros((0, 4), np.float32), *boxes]), np.cumsum([0, *map(len, boxes)]))

    def __getitem__(self, row: int) -> FloatArray:
        return self.boxes[self.ends[row] : self.ends[row + 1]]


@dataclass(frozen=True)
class PictureStore:
    """Stored images and who is in them. Coordinates are edges in the stored square, continuous from 0 to its side.

    pixels: (N, S, S, 3) uint8 RGB, the image at the top left, the rest grey. extents: (N, 2) its width and height
    there. people, ignored: boxes, left, top, right, bottom.
    """

    pixels: ImageArray
    extents: FloatArray
    people: Ragged
    ignored: Ragged

    def __len__(self) -> int:
        return len(self.pixels)


def open_pictures(
    source: PeopleFile,
    input_hw: tuple[int, int],
    pad: int,
    folder: Path,
    progress: Callable[[int, int], None] = lambda *_: None,
    verify: bool = True,
) -> PictureStore:
    """The store of a data set, built under `folder` as far as it is not there yet.

    pad: grey around an image. progress: called with images done and images in all. verify: compare all squares
    with their checksums. Raises DataError if the set has no image, or one has another size than the file says;
    ImageError if one cannot be read.
    """
    scenes = source.scenes()
    if not scenes:
        raise DataError(f"{source.path} has no images")
    side = round(max(input_hw) * STORE_SCALE)

    def fit(rows: list[int]) -> ImageArray:
        scene = scenes[rows[0]]
        return letterbox(read_labelled(scene.image_path, scene.image_hw, scene.upright), (side, side), pad).pixels[None]

    store = folder / _store_name(source, scenes, side, pad)
    pixels = open_pixels(store, list(range(len(scenes))), side, fit, progress, verify)
    sizes = np.array([scene.image_hw[::-1] for scene in scenes], np.float64)
    extents = np.clip((sizes * (side / sizes.max(1, keepdims=True))).round(), 1, side).astype(np.float32)
    scales = np.tile(extents / sizes, 2).astype(np.float32)
    return PictureStore(
        pixels,
        extents,
        Ragged.of([scene.boxes_xyxy * scale for scene, scale in zip(scenes, scales, strict=True)]),
        Ragged.of([scene.ignored_xyxy * scale for scene, scale in zip(scenes, scales, strict=True)]),
    )


def _store_name(source: PeopleFile, scenes: Sequence[Scene], side: int, pad: int) -> str:
    """A folder name that changes with everything that the pixels depend on."""
    shown = [file_name(scene.image_path, source.images) + ":upright" * scene.upright for scene in scenes]
    text = json.dumps([_VERSION, str(source.images.resolve()), side, pad, shown])
    return f"{source.path.stem}-{side}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
