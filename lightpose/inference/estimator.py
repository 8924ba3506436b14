"""`PoseEstimator`, which takes images and returns poses. Most programs need nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lightpose.detect import BoxFunction, Detector, SideBySideDetector, as_detector, check_threshold
from lightpose.detect.one_stage import OwnBoxes
from lightpose.detect.open import open_detector
from lightpose.errors import ConfigError, LightposeError, ShapeError
from lightpose.inference.interpolate import LookAheadSchedule, interpolated
from lightpose.inference.schedule import DetectEvery, DetectSchedule, scheduled, with_state
from lightpose.inference.stream import stream, stream_whole
from lightpose.inference.top_down import PredictOptions
from lightpose.inference.track import Tracker
from lightpose.io.images import decode_image, read_image
from lightpose.io.video import Video, read_video
from lightpose.ops.oks import oks_nms
from lightpose.results import Boxes, Poses
from lightpose.runtime import EngineName, ModeName, Runtime
from lightpose.runtime.devices import CPU
from lightpose.runtime.one_stage import OneStageRuntime
from lightpose.types import ColorOrder, DecoderName, FloatArray, Frame, ImageArray
from lightpose.weights import DEFAULT, file_sha256, find_weights
from lightpose.weights.open import Network, PrecisionChoice, open_network

__all__ = ["SAME_PERSON", "ImageInput", "PoseEstimator", "schedule_for"]

SAME_PERSON = 0.6
"""Two poses with a higher OKS than this belong to one person."""

Failed = Callable[[Frame, LightposeError], None]

Schedule = DetectSchedule | LookAheadSchedule

ImageInput = str | Path | bytes | ImageArray | Any
"""A path, the bytes of an image file, an array (H, W, 3) uint8, or a PIL image."""


class PoseEstimator:
    """Finds the keypoints of the people in images.

        poses = PoseEstimator().predict("photo.jpg")
        poses.keypoints  # (people, joints, 3): x, y in pixels, score
        poses[0]["left_knee"].x

    model: the name of bundled weights, or a weights file. One that finds boxes and joints at once (YOLO-pose, RTMO)
    takes no detector, boxes, flip, decoder, beta or padding. detector: finds the people if `predict` gets no boxes. It
    is "builtin", "whole", an .onnx or .json file, or a function from an RGB image to `Boxes`. detector_threshold: boxes
    with a lower score are dropped; the detector's own if not given. min_person_score: people with a lower score are
    dropped once their keypoints are known; the detector's own if not given. Neither applies to boxes that `predict`
    gets. flip: average with the mirrored crop, twice the work. decoder, beta, padding: the weights' own if not given.
    batch: crops at a time. threads: 0 for one on each physical core. engine: auto, onnxruntime, openvino or torch.
    mode: latency, or throughput for OpenVINO. precision: auto runs the weights' int8 file where this CPU is made for
    it, else the file as it is; float32, int8, or bf16 for OpenVINO. `runtime.precision` says which it is.
    device: cpu; auto, cuda, directml, coreml or openvino:GPU, if it is here, else the CPU, with a warning in the log.
    """

    def __init__(
        self,
        model: str | Path = DEFAULT,
        detector: Detector | BoxFunction | str | Path | None = None,
        *,
        detector_threshold: float | None = None,
        min_person_score: float | None = None,
        flip: bool = False,
        decoder: DecoderName | None = None,
        beta: float | None = None,
        batch: int = 8,
        padding: float | None = None,
        threads: int = 0,
        engine: EngineName = "auto",
        mode: ModeName = "latency",
        precision: PrecisionChoice = "auto",
        device: str = CPU,
    ) -> None:
        check_threshold(detector_threshold)
        check_threshold(min_person_score, "the least score of a person")
        self.options = PredictOptions(flip, decoder, beta, batch, padding)
        self.runtime: Network = open_network(model, threads, engine, mode, precision, device)
        self.path = self.runtime.path or find_weights(model)
        if isinstance(self.runtime, OneStageRuntime):
            self._check_unused(detector)
            least = self.runtime.threshold if detector_threshold is None else detector_threshold
            detector = OwnBoxes(self.runtime, least)
        elif detector is None or isinstance(detector, str | Path):
            detector = open_detector(detector, detector_threshold, threads, precision, device)
        self.detector = as_detector(detector)
        self.detector_threshold = self.detector.threshold if detector_threshold is None else detector_threshold
        self.min_person_score = self.detector.min_person_score if min_person_score is None else min_person_score

    @overload
    def predict(self, image: list[ImageInput], boxes: None = None, color: ColorOrder = "rgb") -> list[Poses]: ...
    @overload
    def predict(
        self, image: str | Path | bytes | ImageArray, boxes: Boxes | ArrayLike | None = None, color: ColorOrder = "rgb"
    ) -> Poses: ...
    def predict(
        self, image: ImageInput | list[ImageInput], boxes: Boxes | ArrayLike | None = None, color: ColorOrder = "rgb"
    ) -> Poses | list[Poses]:
        """Find the poses in an image, or in each of a list of images.

        The poses come in the order of the boxes. An image without people gives empty `Poses`.

        image: a path, the bytes of an image file, an array (H, W, 3) uint8, or a PIL image. All but arrays are turned
        upright by their EXIF orientation. color: the channel order of an array; "bgr" for images from OpenCV. boxes:
        (N, 4) left, top, width, height in pixels; only for a single image. The result is empty if nobody is found.
        Raises ImageError, ShapeError or BoxesError if the image or a box cannot be used.
        """
        if isinstance(image, list | tuple):
            if boxes is not None:
                raise ShapeError("boxes belong to one image; call predict for each image that has boxes of its own")
            return list(self.predict_many(image, color))
        frame = _frame(image, color)
        if boxes is None:
            return next(self.stream([frame]))[1]
        given = boxes if isinstance(boxes, Boxes) else Boxes(cast("FloatArray", boxes))
        return next(stream([frame], lambda _: [given], self.of_crops("boxes"), self.options))[1]

    def predict_many(self, images: Iterable[ImageInput], color: ColorOrder = "rgb") -> Iterator[Poses]:
        """Yield the poses of each image, in order. One batch of the network holds people from several images.

            for poses in estimator.predict_many(Path("holiday").glob("*.jpg")):
                print(poses.name, len(poses))

        At most two batches of images are in memory, and one image. The first image that cannot be used raises an
        error, as in `predict`, and ends the iteration.
        """
        frames = (_frame(image, color, number) for number, image in enumerate(images))
        return (poses for _, poses in self.stream(frames))

    def stream(
        self,
        source: Iterable[Frame] | str | Path,
        failed: Callable[[Frame, LightposeError], None] | None = None,
        *,
        track: bool = True,
        detect_every: DetectEvery | Schedule = 1,
    ) -> Iterator[tuple[Frame, Poses]]:
        """Yield each frame with its poses, in order. One batch holds crops from several frames.

            for frame, poses in estimator.stream("clip.mp4"):
                print(frame.time_s, poses.ids)

        source: a video file, `webcam:0` or an address, what `read_video` gives, or any frames. failed: called with each
        frame that cannot be used; the frame is left out. Without it, the error is raised. track: people of a video get
        ids, those of other frames never. detect_every: the detector runs in one of so many frames, or with "auto" when
        there is need. In between, boxes of a video file lie between those that were found before and after; elsewhere
        they go with the joints, one frame at a time. Raises as `read_video` does.
        """
        video = read_video(source) if isinstance(source, str | Path) else source
        if isinstance(video, Video):
            yield from self._stream_video(video, failed, track, detect_every)
            return
        schedule = DetectSchedule(detect_every) if isinstance(detect_every, int | str) else detect_every
        self.check_schedule(schedule)
        for frame, poses in (
            self._detected(video, failed) if schedule.every == 1 else self._scheduled(video, schedule, failed)
        ):
            yield frame, replace(poses, about=self.about)

    def _detected(self, frames: Iterable[Frame], failed: Failed | None = None) -> Iterator[tuple[Frame, Poses]]:
        """The frames with the people that are found in each, those who count."""
        if isinstance(self.runtime, OneStageRuntime):
            found = stream_whole(frames, self.find_whole, failed, self.runtime.lanes)
        else:
            found = stream(frames, self.find_all, self.runtime, self.options, failed, self.together)
        return ((frame, self.choose(poses)) for frame, poses in found)

    def _scheduled(
        self, frames: Iterable[Frame], schedule: Schedule, failed: Failed | None
    ) -> Iterator[tuple[Frame, Poses]]:
        """The frames with their people, who are found in some of them only."""

        def placed(some: Sequence[Frame], boxes: Iterable[Boxes]) -> Iterator[tuple[Frame, Poses]]:
            left, runtime = iter(boxes), self.of_crops("detect_every")
            return stream(some, lambda group: [next(left) for _ in group], runtime, self.options)

        if isinstance(schedule, LookAheadSchedule):
            return interpolated(
                frames,
                lambda some: [poses for _, poses in self._detected(some)],
                lambda some, boxes: ((frame, self.choose(poses)) for frame, poses in placed(some, boxes)),
                schedule,
                failed,
            )
        return scheduled(
            frames,
            lambda frame: self.find_people(frame.image, frame.path),
            lambda frame, boxes: next(placed([frame], [boxes]))[1],
            self._chosen,
            schedule,
            failed,
        )

    @property
    def together(self) -> int:
        """In how many frames the detector finds people side by side."""
        return self.detector.lanes if isinstance(self.detector, SideBySideDetector) else 1

    @cached_property
    def about(self) -> dict[str, Any]:
        """Facts of the model that poses carry: its name and SHA-256, skeleton, engine, precision, decoder and flip."""
        spec = self.runtime.spec
        return {
            "model": spec.model,
            "sha256": file_sha256(self.path),
            "skeleton": spec.skeleton.name,
            "engine": self.runtime.name,
            "precision": self.runtime.precision,
            "decoder": None if spec.family == "people" else self.options.decoder or spec.decoder,
            "flip": self.options.flip,
        }

    def check_schedule(self, schedule: Schedule) -> None:
        """Raise ConfigError if the detector is to run in some frames only, and the network is the detector."""
        if schedule.every != 1:
            self.of_crops("detect_every")

    def of_crops(self, what: str) -> Runtime:
        """The network, for what only one that takes crops can do. Raises ConfigError if it takes whole images."""
        if isinstance(self.runtime, OneStageRuntime):
            raise ConfigError(f"{self.path.name} finds boxes and joints at once in whole images; leave {what} out")
        return self.runtime

    def _check_unused(self, detector: object) -> None:
        """Raise ConfigError if anything is asked for that a network that takes whole images does not use."""
        options = self.options
        asked = {"the detector, or the boxes,": detector is not None, "the flip test": options.flip,
                 "the decoder": options.decoder is not None, "beta": options.beta is not None,
                 "padding": options.padding is not None}  # fmt: skip
        for name in (name for name, is_asked in asked.items() if is_asked):
            self.of_crops(name)

    def _stream_video(
        self,
        video: Video,
        failed: Callable[[Frame, LightposeError], None] | None,
        track: bool,
        detect_every: DetectEvery | Schedule,
    ) -> Iterator[tuple[Frame, Poses]]:
        """The frames of a video with their poses, and their people with ids; a live one waits for no batch."""
        schedule = schedule_for(video, detect_every) if isinstance(detect_every, int | str) else detect_every
        tracker, last_s = Tracker(), 0.0
        with closing(iter(video)) as frames:
            for group in ([frame] for frame in frames) if video.live else (frames,):
                for frame, poses in self.stream(group, failed, detect_every=schedule):
                    last_s = max(last_s, frame.time_s or 0.0)
                    found = poses if poses.states is not None else with_state(poses, "detected")
                    yield frame, tracker.update(found, last_s, frame.image) if track else found

    def find_people(self, image: ImageArray, path: Path | None = None) -> Boxes:
        """The boxes that the detector finds in an RGB image and that reach the threshold.

        path: the image's file; a file of boxes needs it to look the image up.
        """
        return self._sure(self.detector(image, path))

    def find_all(self, frames: Sequence[Frame]) -> list[Boxes]:
        """The same for some frames, at most `together` of them."""
        if isinstance(self.detector, SideBySideDetector):
            return [self._sure(found) for found in self.detector.find_all([frame.image for frame in frames])]
        return [self.find_people(frame.image, frame.path) for frame in frames]

    def find_whole(self, frames: Sequence[Frame]) -> list[Poses]:
        """The poses in some frames, before `choose`. Raises ConfigError unless the network takes whole images."""
        if not isinstance(self.runtime, OneStageRuntime):
            raise ConfigError(f"{self.path.name} takes crops of people; use predict")
        return self.runtime.find_all([frame.image for frame in frames], self.detector_threshold)

    def _sure(self, found: Boxes) -> Boxes:
        return found if self.detector_threshold is None else found[found.scores >= self.detector_threshold]

    def choose(self, poses: Poses, min_person_score: float | None = None) -> Poses:
        """The poses that count, in their order.

        Drops people who score less than `min_person_score`, the estimator's own if not given. Merges duplicate
        detections of one person: of two nearly equal poses, the one with the higher score stays. Boxes from a file are
        of different people, so they are not merged; nor are poses that come with their boxes, whose network has done
        that in its own way.
        """
        return poses[self._chosen(poses, min_person_score)]

    def _chosen(self, poses: Poses, min_person_score: float | None = None) -> NDArray[np.intp]:
        """The numbers of the poses that count, rising."""
        sure = np.flatnonzero(poses.scores >= (self.min_person_score if min_person_score is None else min_person_score))
        if self.detector.given or isinstance(self.runtime, OneStageRuntime):
            return sure
        some = poses[sure]
        areas = some.boxes.xywh[:, 2:].prod(axis=1)
        return sure[np.sort(oks_nms(some.keypoints, some.scores, areas, some.skeleton.sigmas, SAME_PERSON))]


def schedule_for(video: Video, every: DetectEvery) -> Schedule:
    """When the detector runs in a video: what is not live can be looked ahead in."""
    return DetectSchedule(every) if video.live else LookAheadSchedule(every)


def _frame(image: ImageInput, color: Literal["rgb", "bgr"], number: int = 0) -> Frame:
    """An image of any kind as a frame. Raises ImageError or ShapeError if it is none."""
    if color not in ("rgb", "bgr"):
        raise ShapeError(f"color {color!r} is unknown; use rgb or bgr")
    if isinstance(image, str | Path):
        return Frame(read_image(image), Path(image).name, number, path=Path(image))
    if isinstance(image, bytes | bytearray):
        return Frame(decode_image(bytes(image)), "", number)
    if isinstance(image, np.ndarray):
        pixels = image
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or 0 in pixels.shape:
            raise ShapeError(f"an image must be uint8 of shape (H, W, 3); got {pixels.dtype} {pixels.shape}")
        return Frame(np.ascontiguousarray(pixels[..., ::-1]) if color == "bgr" else pixels, "", number)
    if hasattr(image, "convert") and hasattr(image, "getexif"):  # PIL.Image.Image
        return Frame(_upright(image), Path(getattr(image, "filename", "")).name, number)
    raise ShapeError(f"predict takes a file, its bytes, an RGB array or a PIL image, not a {type(image).__name__}")


def _upright(image: Any) -> ImageArray:
    """A PIL image as an RGB array, turned as its EXIF orientation says."""
    from PIL import ImageOps

    pixels: ImageArray = np.array(ImageOps.exif_transpose(image).convert("RGB"))
    return pixels
