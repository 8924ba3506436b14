"""Image and boxes → poses: crop, network, flip test, decode, back to the image."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Generic, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from lightpose.errors import ConfigError, WeightsError
from lightpose.io.prefetch import ahead, behind
from lightpose.io.sources import HELD_BYTES
from lightpose.ops.families import FAMILIES, check_heatmaps
from lightpose.ops.geometry import cut_crops, invert, transform_points
from lightpose.ops.oks import person_scores
from lightpose.results import Boxes, Poses
from lightpose.runtime import Runtime
from lightpose.types import DecoderName, FloatArray, ImageArray, ModelSpec, check_padding

__all__ = [
    "Decoding",
    "PredictOptions",
    "decode_crops",
    "flip_test",
    "predict_boxed",
    "predict_crops",
    "predict_decodings",
    "predict_poses",
    "run_network",
]

Key = TypeVar("Key")


@dataclass(frozen=True)
class Decoding:
    """A way to read heatmaps. beta: of the soft-argmax decoders; the others pass it over."""

    decoder: DecoderName
    beta: float = 160.0

    def __post_init__(self) -> None:
        if self.decoder not in get_args(DecoderName):
            raise ConfigError(f"decoder {self.decoder!r} is unknown; use {', '.join(get_args(DecoderName))}")
        if not 0 < self.beta < math.inf:
            raise ConfigError(f"beta must be above 0, not {self.beta}, and finite")


@dataclass(frozen=True)
class PredictOptions:
    """How to predict.

    flip: average with the mirrored crop, twice the work. decoder, beta, padding: None for the weights' own. batch:
    crops at a time.
    """

    flip: bool = False
    decoder: DecoderName | None = None
    beta: float | None = None
    batch: int = 8
    padding: float | None = None

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ConfigError(f"batch must be at least 1, not {self.batch}")
        if self.padding is not None:
            check_padding(self.padding)
        Decoding(
            "argmax" if self.decoder is None else self.decoder, 1 if self.beta is None else self.beta
        )  # checks both

    def decoding(self, spec: ModelSpec) -> Decoding:
        """How heatmaps of a network with that spec are read. Raises ConfigError if it gives none, yet that is asked."""
        if self.decoder is not None or self.beta is not None:
            check_heatmaps(spec, "a decoder")
        return Decoding(self.decoder or spec.decoder, self.beta or spec.beta)

    def crop_padding(self, spec: ModelSpec) -> float:
        """How much wider than its box a crop for a network with that spec is."""
        return self.padding or spec.padding


def predict_crops(crops: ImageArray, runtime: Runtime, options: PredictOptions) -> FloatArray:
    """Keypoints of crops that are already cut.

    crops: (N, H, W, 3) uint8 RGB of the spec's size. Returns (N, K, 3): x, y in crop pixels, score.
    Raises WeightsError if the network gives no finite numbers.
    """
    return decode_crops(crops, runtime, options.flip, [options.decoding(runtime.spec)])[0]


def decode_crops(crops: ImageArray, runtime: Runtime, flip: bool, decodings: Sequence[Decoding]) -> list[FloatArray]:
    """The same, (N, K, 3) for each way of reading heatmaps, which are computed once."""
    return _read(run_network(crops, runtime, flip), runtime.spec, decodings)


def _read(given: FloatArray, spec: ModelSpec, decodings: Sequence[Decoding]) -> list[FloatArray]:
    """What a network gave as keypoints (N, K, 3) in crop pixels, for each way of reading heatmaps."""
    if not np.isfinite(given).all():
        raise WeightsError(
            f"the network's {spec.family} are not finite numbers: its weights are damaged or training diverged"
        )
    return [FAMILIES[spec.family].read(given, spec, way.decoder, way.beta) for way in decodings]


def run_network(crops: ImageArray, runtime: Runtime, flip: bool) -> FloatArray:
    """Heatmaps (N, K, h, w) of crops (N, H, W, 3) uint8 RGB, or what else a network of the spec's family gives.

    flip: averaged with those of the mirrored crops.
    """
    return flip_test(crops, runtime)[1] if flip else runtime.heatmaps(crops)


def flip_test(crops: ImageArray, runtime: Runtime) -> tuple[FloatArray, FloatArray]:
    """Heatmaps (N, K, h, w) of crops (N, H, W, 3), and their mean with those of the mirrored crops, mirrored back."""
    spec, given = runtime.spec, runtime.heatmaps(crops)
    mirrored = runtime.heatmaps(np.ascontiguousarray(crops[:, :, ::-1]))
    return given, FAMILIES[spec.family].merge(given, mirrored, spec)


@dataclass(frozen=True)
class _Cut(Generic[Key]):
    """An image whose crops are cut, which took `taken_s`. nbytes: of the image."""

    key: Key
    image_hw: tuple[int, int]
    nbytes: int
    boxes: Boxes
    crops: ImageArray
    matrices: NDArray[np.float64]
    taken_s: float


@dataclass(frozen=True)
class _Given(Generic[Key]):
    """What the network gave for a batch of crops, which took `taken_s`; None if there were none.

    ends: the images of which no crop is left.
    """

    given: FloatArray | None
    taken_s: float
    ends: Sequence[_Cut[Key]]


def predict_boxed(
    pictures: Iterable[tuple[Key, ImageArray, Boxes]], runtime: Runtime, options: PredictOptions
) -> Iterator[tuple[Key, Poses]]:
    """Poses of many images, in their order, with the crops of all of them run in full batches.

    pictures: (key, image, boxes); the key comes back with the poses. At most a batch of images, of `HELD_BYTES`
    beside the last, and a batch of crops beside one image's own, wait for the network. While it runs, one thread cuts
    the crops of the next image, and another decodes the last batch; a list of one image needs neither. Raises
    BoxesError if a box has no area or lies outside its image.
    """
    for key, poses in predict_decodings(pictures, runtime, options, [options.decoding(runtime.spec)]):
        yield key, poses[0]


def predict_decodings(
    pictures: Iterable[tuple[Key, ImageArray, Boxes]],
    runtime: Runtime,
    options: PredictOptions,
    decodings: Sequence[Decoding],
) -> Iterator[tuple[Key, list[Poses]]]:
    """As `predict_boxed`, with the poses of each way of reading heatmaps in place of the options' own.

    The network runs once for all of them; no heatmaps are held beyond the batch and the next.
    """
    shares = _Shares(runtime.spec, decodings)

    def cut(picture: tuple[Key, ImageArray, Boxes]) -> _Cut[Key]:
        return _cut(*picture, runtime, options)

    if isinstance(pictures, Sequence) and len(pictures) == 1:
        for given in _run(map(cut, pictures), runtime, options):
            yield from shares.take(given)
        return
    with (
        closing(ahead(cut, pictures, 1, HELD_BYTES, lambda one: one.nbytes)) as images,
        closing(behind(shares.take, _run(images, runtime, options), 1, HELD_BYTES, lambda _: 0)) as found,
    ):
        for some in found:
            yield from some


def predict_poses(image: ImageArray, boxes: Boxes, runtime: Runtime, options: PredictOptions) -> Poses:
    """Poses of the boxed people of one RGB image, in the order of the boxes."""
    return next(predict_boxed([(None, image, boxes)], runtime, options))[1]


def _cut(key: Key, image: ImageArray, boxes: Boxes, runtime: Runtime, options: PredictOptions) -> _Cut[Key]:
    boxes.check_inside(*image.shape[:2])
    spec, start_s = runtime.spec, time.perf_counter()
    crops, matrices = cut_crops(image, boxes.xywh, spec.input_hw, spec.geometry, options.crop_padding(spec))
    return _Cut(key, image.shape[:2], image.nbytes, boxes, crops, matrices, time.perf_counter() - start_s)


def _run(images: Iterable[_Cut[Key]], runtime: Runtime, options: PredictOptions) -> Iterator[_Given[Key]]:
    """What the network gives for the crops of all images, in full batches."""
    waiting: list[_Cut[Key]] = []
    count = held = 0
    for image in images:
        waiting.append(image)
        count += len(image.boxes)
        held += image.nbytes
        # an image is likely held by its key, so that it can be drawn on, even with nobody in it
        if max(count, len(waiting)) >= options.batch or held >= HELD_BYTES:
            yield from _run_all(waiting, runtime, options)
            waiting, count, held = [], 0, 0
    yield from _run_all(waiting, runtime, options)


def _run_all(waiting: Sequence[_Cut[Key]], runtime: Runtime, options: PredictOptions) -> Iterator[_Given[Key]]:
    """What it gives for those that wait, a batch at a time; the last one ends them all."""
    crops = [crop for image in waiting for crop in image.crops]
    for start in range(0, max(len(crops), 1), options.batch):
        batch, is_last = crops[start : start + options.batch], start + options.batch >= len(crops)
        start_s = time.perf_counter()
        given = run_network(np.stack(batch), runtime, options.flip) if batch else None
        yield _Given(given, time.perf_counter() - start_s, waiting if is_last else ())


class _Shares:
    """Decodes what the network gives, and shares the keypoints and the time out to the images again."""

    def __init__(self, spec: ModelSpec, decodings: Sequence[Decoding]) -> None:
        self._spec, self._decodings = spec, decodings
        self._begin()

    def _begin(self) -> None:
        self._keypoints = [np.zeros((len(self._decodings), 0, len(self._spec.skeleton), 3), np.float32)]
        self._network_s = self._decode_s = 0.0

    def take(self, some: _Given[Key]) -> list[tuple[Key, list[Poses]]]:
        """The poses of the images that end with this batch."""
        start_s = time.perf_counter()
        if some.given is not None:
            self._keypoints.append(np.stack(_read(some.given, self._spec, self._decodings)))
        self._network_s += some.taken_s
        self._decode_s += time.perf_counter() - start_s
        if not some.ends:
            return []
        found, start = np.concatenate(self._keypoints, axis=1), 0
        shared = []
        for image in some.ends:
            mine = found[:, start : start + len(image.boxes)]
            start += len(image.boxes)
            share = 1000 * len(image.boxes) / max(found.shape[1], 1)
            milliseconds = {
                "crop": 1000 * image.taken_s, "network": share * self._network_s, "decode": share * self._decode_s,
            }  # fmt: skip
            poses = [replace(_place(each, image, self._spec), milliseconds=milliseconds) for each in mine]
            shared.append((image.key, poses))
        self._begin()
        return shared


def _place(keypoints: FloatArray, image: _Cut[Key], spec: ModelSpec) -> Poses:
    """Keypoints (N, K, 3) in crop pixels → poses in the image."""
    points = transform_points(keypoints[..., :2], invert(image.matrices))
    placed = np.concatenate([points, keypoints[..., 2:]], axis=-1)
    return Poses(placed, person_scores(placed, image.boxes.scores), image.boxes, spec.skeleton, image.image_hw)
