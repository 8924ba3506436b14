"""Real crops to calibrate or compare networks on: from a COCO keypoint file, or from images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from lightpose.data.coco import read_coco
from lightpose.data.people import read_people
from lightpose.data.stored import read_labelled
from lightpose.detect.box_file import read_boxes
from lightpose.detect.whole_image import whole_image
from lightpose.errors import BoxesError, ConfigError, ImageError
from lightpose.io.images import read_image
from lightpose.io.sources import find_images
from lightpose.ops.geometry import cut_crops
from lightpose.ops.letterbox import letterbox
from lightpose.results import Boxes
from lightpose.types import DetectorSpec, ImageArray, ModelSpec, Person

__all__ = ["calibration_crops", "calibration_images"]


def calibration_crops(
    source: str | Path,
    spec: ModelSpec,
    count: int,
    *,
    images: str | Path | None = None,
    boxes: str | Path | None = None,
    seed: int = 0,
) -> ImageArray:
    """Up to `count` people, drawn at random: (N, H, W, 3) uint8 RGB of the spec's size, all different, N at least 1.

    source: a COCO keypoint file, with the folder of its images as `images`; or an image or folder of them, with a
    json file of `boxes`, or taken whole. Images and boxes that cannot be used are passed over. Raises DataError or
    BoxesError if a file cannot be read, ImageError if there is nobody in it.
    """
    generator = np.random.default_rng(seed)
    if Path(source).suffix.lower() == ".json":
        people = _labelled(source, images, generator)
    else:
        people = _pictured(str(source), boxes, generator)
    crops: list[ImageArray] = []
    for path, boxed, person in people:
        if len(crops) >= count:
            break
        try:
            if person is None:
                picture = read_image(path)
            else:
                picture = read_labelled(path, person.image_hw, person.upright)
            found = whole_image(picture) if boxed is None else boxed
            found.check_inside(*picture.shape[:2])
        except (ImageError, BoxesError):
            continue
        crops.extend(cut_crops(picture, found.xywh, spec.input_hw, spec.geometry, spec.padding)[0])
    if not crops:
        raise ImageError(f"{source} gives no crop of a person; name readable images with people in them")
    return np.stack(crops[:count])


def calibration_images(
    source: str | Path, spec: DetectorSpec, count: int, *, images: str | Path | None = None, seed: int = 0
) -> ImageArray:
    """Up to `count` images, drawn at random, as a detector with that spec sees them: (N, H, W, 3) uint8 RGB, N at least
    1.

    source: a COCO file, with the folder of its `images`; or an image or folder of them. Images that cannot be used are
    passed over. Raises DataError if a file cannot be read, ImageError if there is no image.
    """
    if Path(source).suffix.lower() == ".json":
        if images is None:
            raise ConfigError(f"{source} is an annotation file; name the folder of its images too")
        paths = [scene.image_path for scene in read_people(source, images).scenes()]
    else:
        paths = [file.path for file in find_images([str(source)])]
    seen: list[ImageArray] = []
    for place in np.random.default_rng(seed).permutation(len(paths)):
        if len(seen) >= count:
            break
        with suppress(ImageError):
            seen.append(letterbox(read_image(paths[place], exif=False), spec.input_hw, spec.pad).pixels)
    if not seen:
        raise ImageError(f"{source} gives no image; name readable ones with people in them")
    return np.stack(seen)


People = Iterator[tuple[Path, Boxes | None, Person | None]]
"""An image, the boxes in it (None: it is one person, whole), and the person whose label that is, if it is one."""


def _labelled(source: str | Path, images: str | Path | None, generator: np.random.Generator) -> People:
    if images is None:
        raise ConfigError(f"{source} is an annotation file; name the folder of its images too")
    persons = read_coco(source, images).persons()
    for place in generator.permutation(len(persons)):
        yield persons[place].image_path, Boxes(persons[place].box_xywh[None]), persons[place]


def _pictured(source: str, boxes: str | Path | None, generator: np.random.Generator) -> People:
    pictures = find_images([source])
    known = None if boxes is None else read_boxes(boxes)
    for place in generator.permutation(len(pictures)):
        path = pictures[place].path
        yield path, None if known is None else known.boxes(path.absolute()), None
