"""From a network and a data set to its figures: in the given boxes, or in those of a detector."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lightpose.data.coco import CocoFile
from lightpose.data.stored import read_labelled
from lightpose.errors import BoxesError
from lightpose.evaluate.pck import counted_joints, person_errors, person_sizes
from lightpose.evaluate.protocol import LIGHTPOSE, Protocol
from lightpose.evaluate.results import PoseResults, join, of_picture
from lightpose.evaluate.scores import CocoScores, require_library, score_results, score_rows
from lightpose.inference.top_down import Decoding, PredictOptions, predict_decodings
from lightpose.results import Boxes, Poses
from lightpose.runtime import Runtime
from lightpose.runtime.one_stage import OneStageRuntime
from lightpose.skeletons import Skeleton
from lightpose.types import ImageArray, Person
from lightpose.weights.open import Network

__all__ = [
    "CocoScores",
    "Evaluation",
    "evaluate_decodings",
    "evaluate_detections",
    "evaluate_given_boxes",
    "evaluate_whole",
    "predict_detections",
    "predict_persons",
    "score_rows",
]

Progress = Callable[[int], None]
"""Called with the number of persons done."""

Key = TypeVar("Key")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a network found in a data set, and how good that is.

    scores: COCO's figures, -1 where the set has no labels. errors: (N, K) distances of joints from their labels, as
    shares of the person's size, NaN where unlabelled or not measured, of the N persons given a box (see pck.py); none
    with a detector's boxes. image_ids: (N,) their images. results: what was scored.
    """

    scores: CocoScores
    errors: NDArray[np.float64]
    image_ids: NDArray[np.int64]
    results: PoseResults

    def pck(self, share: float = 0.1) -> float:
        """Share of labelled joints found within that share of the person's size; NaN if none is labelled."""
        labelled = np.isfinite(self.errors).sum()
        return float((self.errors <= share).sum() / labelled) if labelled else math.nan


def evaluate_given_boxes(
    source: CocoFile,
    runtime: Runtime,
    options: PredictOptions,
    progress: Progress = lambda _: None,
    protocol: Protocol = LIGHTPOSE,
) -> Evaluation:
    """OKS AP and joint errors of a network on the labelled persons of a file, each cropped by its given box.

    Of an image only its results are kept, so that memory does not grow with the images.
    """
    return evaluate_decodings(source, None, runtime, options, [options.decoding(runtime.spec)], progress, protocol)[0]


def evaluate_detections(
    source: CocoFile,
    boxes: Mapping[int, Boxes],
    runtime: Runtime,
    options: PredictOptions,
    progress: Progress = lambda _: None,
    protocol: Protocol = LIGHTPOSE,
) -> Evaluation:
    """OKS AP of a network in a detector's boxes, by image id; an image without boxes counts as one with nobody found.

    A file without annotations gets results and no figures.
    """
    return evaluate_decodings(source, boxes, runtime, options, [options.decoding(runtime.spec)], progress, protocol)[0]


def evaluate_decodings(
    source: CocoFile,
    boxes: Mapping[int, Boxes] | None,
    runtime: Runtime,
    options: PredictOptions,
    decodings: Sequence[Decoding],
    progress: Progress = lambda _: None,
    protocol: Protocol = LIGHTPOSE,
) -> list[Evaluation]:
    """Both of the above, by each way of reading heatmaps in place of the options' own; the network runs once for all.

    boxes: a detector's, or None for the given ones.
    """
    labelled = bool(source.document["annotations"]) or boxes is None
    if labelled:
        require_library()  # before the work, not after it
    skeleton = runtime.spec.skeleton
    gathered = [_Gathered(source, skeleton, protocol) for _ in decodings]
    if boxes is None:
        sizes = person_sizes(source, protocol.size)
        for people, variants in _predict(_person_pictures(source), runtime, options, decodings, progress):
            for found, poses in zip(gathered, variants, strict=True):
                found.add(people[0].image_id, poses, runtime)
                found.measure(people, poses, [sizes[person.annotation_id] for person in people])
    else:
        for image_id, variants in _predict(_boxed_pictures(source, boxes), runtime, options, decodings, progress):
            for found, poses in zip(gathered, variants, strict=True):
                found.add(image_id, poses, runtime)
    return [found.evaluation(labelled) for found in gathered]


def evaluate_whole(
    source: CocoFile,
    network: OneStageRuntime,
    threshold: float,
    progress: Progress = lambda _: None,
    protocol: Protocol = LIGHTPOSE,
) -> Evaluation:
    """OKS AP of a network that finds boxes and joints at once, in all images of a file. threshold: least score of a
    person. progress: called with the number of images done.
    """
    labelled = bool(source.document["annotations"])
    if labelled:
        require_library()
    gathered = _Gathered(source, network.spec.skeleton, protocol)
    for number, picture in enumerate(source.document["images"], start=1):
        gathered.add(picture["id"], network.find(_read(source, picture), threshold), network)
        progress(number)
    return gathered.evaluation(labelled)


class _Gathered:
    """What one way of reading heatmaps has found so far."""

    def __init__(self, source: CocoFile, skeleton: Skeleton, protocol: Protocol) -> None:
        self._source, self._skeleton, self._protocol = source, skeleton, protocol
        self._parts: list[PoseResults] = []
        self._ids = [np.zeros(0, np.int64)]
        self._errors = [np.zeros((0, len(skeleton)))]

    def add(self, image_id: int, poses: Poses, runtime: Network) -> None:
        """The results of an image that its suppression keeps."""
        self._parts.append(of_picture(image_id, poses, self._protocol.keep(poses, runtime.spec)))

    def measure(self, people: Sequence[Person], poses: Poses, sizes: Sequence[float]) -> None:
        """Joint errors of an image's labelled persons, whose poses are in the same order."""
        named, bias_px = self._source.skeleton, self._protocol.bias_px
        self._ids.append(np.full(len(people), people[0].image_id, np.int64))
        self._errors.append(person_errors(people, named, poses.keypoints, self._skeleton, sizes, bias_px))

    def evaluation(self, labelled: bool) -> Evaluation:
        """All of it, with figures if the data set has labels."""
        results = join(self._parts, self._skeleton)
        counted = counted_joints(self._skeleton, self._protocol.size)
        measured = np.where(counted, np.concatenate(self._errors), np.nan)
        scores = score_results(self._source, results) if labelled else CocoScores(*[-1.0] * 10)
        return Evaluation(scores, measured, np.concatenate(self._ids), results)


def predict_persons(
    source: CocoFile, runtime: Runtime, options: PredictOptions, progress: Progress = lambda _: None
) -> Iterator[tuple[list[Person], Poses]]:
    """Poses of all labelled persons of a file in their given boxes, an image at a time, beside its persons."""
    for people, poses in _predict(
        _person_pictures(source), runtime, options, [options.decoding(runtime.spec)], progress
    ):
        yield people, poses[0]


def predict_detections(
    source: CocoFile,
    boxes: Mapping[int, Boxes],
    runtime: Runtime,
    options: PredictOptions,
    progress: Progress = lambda _: None,
) -> Iterator[tuple[int, Poses]]:
    """Poses in a detector's boxes, an image at a time, with its id; images without boxes are not read.

    Raises BoxesError if a box has no area or lies outside its image.
    """
    pictures = _boxed_pictures(source, boxes)
    for image_id, poses in _predict(pictures, runtime, options, [options.decoding(runtime.spec)], progress):
        yield image_id, poses[0]


def _person_pictures(source: CocoFile) -> Iterator[tuple[list[Person], ImageArray, Boxes]]:
    persons = sorted(source.persons(), key=lambda person: person.image_id)
    for _, group in groupby(persons, key=lambda person: person.image_id):
        people = list(group)
        image = read_labelled(people[0].image_path, people[0].image_hw, people[0].upright)
        yield people, image, Boxes(np.stack([p.box_xywh for p in people]))


def _boxed_pictures(source: CocoFile, boxes: Mapping[int, Boxes]) -> Iterator[tuple[int, ImageArray, Boxes]]:
    for picture in source.document["images"]:
        found = boxes.get(picture["id"])
        if found is not None and len(found):
            image = _read(source, picture)
            try:
                found.check_inside(*image.shape[:2])
            except BoxesError as error:
                raise BoxesError(f"{source.images / picture['file_name']}: {error}") from error
            yield picture["id"], image, found


def _read(source: CocoFile, picture: Mapping[str, Any]) -> ImageArray:
    """An image as its labels are of it."""
    image_hw = (picture["height"], picture["width"])
    return read_labelled(source.images / picture["file_name"], image_hw, bool(picture.get("upright")))


def _predict(
    pictures: Iterator[tuple[Key, ImageArray, Boxes]],
    runtime: Runtime,
    options: PredictOptions,
    decodings: Sequence[Decoding],
    progress: Progress,
) -> Iterator[tuple[Key, list[Poses]]]:
    """`predict_decodings`, with word of how many persons are done."""
    done = 0
    for key, variants in predict_decodings(pictures, runtime, options, decodings):
        done += len(variants[0])
        progress(done)
        yield key, variants
