"""`lightpose predict`: images and videos in, keypoints and drawings out."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from lightpose.cli.marks import Fills, Reads, ReadsNamed
from lightpose.types import DecoderName
from lightpose.weights import DEFAULT, has_detector

__all__ = ["Predict", "read_every"]

OF_VIDEOS = ("ids", "raw joints", "states", "times")
"""What the results of images have none of, in the words of `lightpose.formats`."""

OVER_TIME = ("trc", "mot")
"""Formats that hold nothing without times."""

if TYPE_CHECKING:
    from lightpose.detect import Detector
    from lightpose.formats import Format
    from lightpose.inference.estimator import PoseEstimator
    from lightpose.inference.folder import FolderResults
    from lightpose.inference.schedule import DetectEvery
    from lightpose.inference.stages import LookAhead, Stage
    from lightpose.inference.video import VideoResults
    from lightpose.io.sources import ImageFile
    from lightpose.io.video import Video


@dataclass(frozen=True)
class Predict:
    """Find the keypoints of the people in images and videos.

    Of images, writes keypoints.json (COCO keypoint results), poses.json (the same, readable) and the images with
    skeletons drawn on them. Of a video, writes poses.jsonl, a line for each frame, and the drawn video.
    Examples: lightpose predict photo.jpg --out poses; lightpose predict clip.mp4 --out poses
    Example: lightpose predict webcam:0 --show
    """

    sources: Annotated[Positional[tuple[ReadsNamed, ...]], arg(metavar="SOURCE...")]
    """Image files, folders with all below them, glob patterns in quotes, or - for an image on standard input. Of a
    folder, files with an image's suffix are read, and others that begin like an image; hidden ones are not. Or videos:
    files, webcam:0, rtsp:// and http:// addresses, and with --fps folders of numbered images. What a file is, its
    content tells. Of several videos, each gets a folder in --out."""
    out: Fills = Path("poses")
    """Folder for the results; made if need be."""
    detector: ReadsNamed | None = None
    """What finds the people: builtin; whole (each image is one person); an .onnx detector, lightpose's own or an
    export of YOLOX, YOLOv5 and later, RTMDet or torchvision; or a .json file of boxes, COCO detections or annotations.
    Not given: builtin, or whole in a copy of lightpose that brings no detector."""
    detector_threshold: float | None = None
    """Least score of a person's box, from 0 to 1: lower finds more people, and more who are none. The detector's own if
    not given; none for a file of boxes."""
    min_person_score: float | None = None
    """Least score of a person who was found, joints included, from 0 to 1; the detector's own if not given."""
    boxes: Reads | None = None
    """The same as --detector with a .json file of boxes."""
    model: ReadsNamed = DEFAULT
    """Name of bundled or kept weights, an .onnx, .xml or .safetensors file, or another project's .onnx or .zip.
    One that finds boxes and joints at once, such as YOLO-pose or RTMO, takes no --detector."""
    draw: bool = True
    """Write the images, or the video, with skeletons."""
    formats: Annotated[str, arg(metavar="NAME,NAME")] = ""
    """Files for other tools as well, such as csv,parquet,openpose; lightpose convert --help names the formats."""
    flip: bool = False
    """Average with the mirrored crop: a little more accurate, twice the work."""
    decoder: DecoderName | None = None
    """How heatmaps become points; the weights' own if not given."""
    padding: float | None = None
    """How much wider than a person's box the network looks, such as 1.25; the weights' own if not given."""
    engine: Literal["auto", "onnxruntime", "openvino", "torch"] = "auto"
    """What runs the network. auto: ONNX Runtime for .onnx, OpenVINO for .xml, PyTorch for .safetensors. OpenVINO runs
    .onnx too, and on some CPUs faster: try it."""
    precision: Literal["auto", "float32", "bf16", "int8"] = "auto"
    """auto: int8 where this CPU is made for it and the network has an int8 file whose loss was measured, else float32.
    bf16 is OpenVINO's."""
    device: Annotated[str, arg(metavar="NAME")] = "cpu"
    """Where the networks run: cpu, cuda, directml, coreml or openvino:GPU; auto is the first of them that is here. The
    CPU takes the place of one that is not."""
    threads: int = 0
    """Threads of the engine; 0 is one on each physical core that the process, or its container, may use."""
    mode: Literal["latency", "throughput"] = "latency"
    """OpenVINO only. latency: all cores on one batch of people; throughput: parts of it side by side."""

    max_pixels: int | None = None
    """Refuse larger images before they are decoded, and files of four times as many bytes. Not given: what the
    environment variable LIGHTPOSE_MAX_PIXELS says, or 120 million."""
    restart: bool = False
    """Begin anew, where an interrupted run has left part of its results in --out."""

    from_: Annotated[float, arg(name="from", metavar="SECONDS")] = 0.0
    """Videos: begin there, in seconds as a player shows them."""
    to: Annotated[float | None, arg(metavar="SECONDS")] = None
    """Videos: end before there."""
    every: int = 1
    """Videos: take every how-many-th frame."""
    slowmo: float = 1.0
    """Videos: how many times slower than life they play, such as 8 if filmed at 240 frames a second and saved at 30.
    Times in the results are those of life."""
    fps: float | None = None
    """Take folders as videos: their images in the order of their numbers, so many a second."""
    track: bool = True
    """Videos: number the people, and keep each one's number from frame to frame. People are then in the results from
    their second sight on."""
    keep_lost: Annotated[float, arg(metavar="SECONDS")] = 1.5
    """Videos: for how long a person who is not seen keeps the number."""
    person: Annotated[str | None, arg(metavar="largest|first|ID")] = None
    """Videos: keep one person of each frame: the largest, the one with the lowest number, or the one with this."""
    max_people: int | None = None
    """Videos: keep so many people of each frame at most, the largest."""
    detect_every: Annotated[str, arg(metavar="N|auto")] = "1"
    """Videos: run the detector in one of so many frames. In between, boxes follow the joints. auto: detect when a
    person's score falls, somebody comes to an edge, nobody is there, or up to a second is over. Ids are lost more often
    where people cross."""
    smooth: Literal["none", "one_euro", "butterworth"] = "none"
    """Videos: calm the joints; those that were found are then in the results too, as raw_keypoints. one_euro: live,
    lags a little. butterworth: without lag, for files; what biomechanics expects."""
    smooth_hz: float = 6.0
    """Videos: --smooth butterworth takes away movement above this frequency. 6 is what biomechanics uses for walking
    and most sports (Winter, 2009). A video has to have more than twice as many frames a second."""
    fill: Annotated[float, arg(metavar="SECONDS")] = 0.0
    """Videos that are files: put a person who is not found for so long at most on a line between both sights."""
    show: bool = False
    """Videos: show the drawn frames as they come. Needs an OpenCV with windows."""
    resume: bool = False
    """Videos: refuse to begin anew. Without it too, the same command goes on with a run that was killed."""
    give_up: Annotated[float, arg(metavar="SECONDS")] = 60.0
    """Addresses: how long to try again when nothing comes."""

    def run(self) -> int:
        """0: all done; 1: some images could not be used, or part of a video was lost; 2: nothing could be done."""
        from lightpose.detect.box_file import read_boxes
        from lightpose.errors import ConfigError, ImageError
        from lightpose.inference.estimator import PoseEstimator
        from lightpose.io.files import check_folder
        from lightpose.io.images import MAX_PIXELS_SETTING, max_bytes
        from lightpose.io.sources import find_images, stdin_image
        from lightpose.runtime import notes_of

        if not self.sources:
            raise ImageError("name at least one image, folder, pattern or video; see lightpose predict --help")
        if self.boxes is not None and self.detector is not None:
            raise ConfigError("people come from a detector or from a file of boxes: give --detector or --boxes")
        if self.max_pixels is not None:
            os.environ[MAX_PIXELS_SETTING] = str(self.max_pixels)
        most = max_bytes()
        check_folder(self.out)
        clips = self._open_videos()
        every, changing = read_every(self.detect_every), [self._stages(video) for video in clips.values()]
        images = find_images((source for source in self.sources if source != "-" and source not in clips), self.out)
        if "-" in self.sources:
            images.append(stdin_image(sys.stdin.buffer.read(most + 1)))
        detector: str | Detector | None = self.detector if self.boxes is None else read_boxes(self.boxes)
        estimator = PoseEstimator(
            self.model,
            detector,
            detector_threshold=self.detector_threshold,
            min_person_score=self.min_person_score,
            flip=self.flip,
            decoder=self.decoder,
            padding=self.padding,
            threads=self.threads,
            engine=self.engine,
            mode=self.mode,
            precision=self.precision,
            device=self.device,
        )
        for note in notes_of(estimator.runtime):
            print(f"lightpose: {note}", file=sys.stderr)
        whole_unasked = detector is None and not has_detector() and estimator.runtime.spec.family != "people"
        self._kinds(self.out, images)
        codes = [self._run_images(images, estimator, whole_unasked)] if images else []
        codes += self._run_videos(clips, estimator, whole_unasked, every, changing)
        return 2 if set(codes) == {2} else max(min(code, 1) for code in codes)

    def _run_images(self, images: list[ImageFile], estimator: PoseEstimator, whole_unasked: bool) -> int:
        from lightpose.cli.console import counting
        from lightpose.inference.folder import predict_images
        from lightpose.inference.format_sinks import write_images

        with counting("images", len(images)) as advance:
            results = predict_images(images, estimator, self.out, self.draw, self.restart, advance)
        _print_results(results, self.out, self.draw, whole_unasked)
        if results.images:
            kinds = self._kinds(self.out, images)
            for path in write_images(kinds, self.out, images):
                print(f"written: {path}")
            _print_limits(kinds, OF_VIDEOS)
        return (1 if results.failed else 0) if results.images else 2

    def _kinds(self, out: Path, images: list[ImageFile], continued: bool = False) -> list[Format]:
        """The formats to write into a folder; none of them is a file that is read."""
        from lightpose.errors import ConfigError
        from lightpose.inference.format_sinks import check_formats

        names = [name.strip() for name in self.formats.split(",") if name.strip()]
        given = [self.boxes, self.detector, self.model, *self.sources]
        reads = [Path(each) for each in given if each is not None] + [file.path for file in images]
        kinds = check_formats(names, out, reads, continued)
        timed = [kind.name for kind in kinds if kind.name in OVER_TIME]
        if images and timed:
            raise ConfigError(
                f"--formats {timed[0]} is for videos: images have no times; a folder of frames needs --fps"
            )
        return kinds

    def _open_videos(self) -> dict[str, Video]:
        """Those of the sources that are videos, by name; each is opened, so that what cannot be is told at once."""
        from lightpose.io.video import Timing, read_video, source_kind

        timing = Timing(self.from_, self.to, self.every, self.slowmo)
        clips = {
            source: read_video(source, timing, fps=self.fps if os.path.isdir(source) else None, give_up_s=self.give_up)  # noqa: PTH112
            for source in dict.fromkeys(self.sources)
            if source_kind(source) is not None or (self.fps is not None and os.path.isdir(source))  # noqa: PTH112
        }
        if not clips:
            self._check_no_video_option()
        return clips

    def _check_no_video_option(self) -> None:
        """Raise ConfigError if an option is given that means nothing for images."""
        from lightpose.errors import ConfigError

        given = {"--from": self.from_ != 0, "--to": self.to is not None, "--every": self.every != 1,
                 "--slowmo": self.slowmo != 1, "--fps": self.fps is not None, "--show": self.show,
                 "--no-track": not self.track, "--keep-lost": self.keep_lost != 1.5,
                 "--person": self.person is not None, "--max-people": self.max_people is not None,
                 "--detect-every": self.detect_every != "1", "--smooth": self.smooth != "none",
                 "--smooth-hz": self.smooth_hz != 6.0, "--fill": self.fill != 0, "--resume": self.resume}  # fmt: skip
        named = ", ".join(name for name, is_given in given.items() if is_given)
        if named:
            raise ConfigError(f"{named} is for videos, and there is none among the sources")

    def _stages(self, video: Video) -> list[Stage | LookAhead]:
        """What changes the poses of each frame of a video; made anew for each video."""
        from lightpose.errors import ConfigError
        from lightpose.inference.look_ahead import FileSmoother
        from lightpose.inference.select import Selection, Which
        from lightpose.inference.smooth import Smoother
        from lightpose.inference.track import Tracker

        which: Which | None
        match self.person:
            case None | "largest" | "first":
                which = self.person
            case number if number.isdecimal() and self.track:
                which = int(number)
            case other:
                raise ConfigError(f"--person must be largest, first or, with --track, a person's number, not {other}")
        self._check_smoothing(video)
        ahead = FileSmoother(self.smooth_hz if self.smooth == "butterworth" else None, self.fill)
        return [
            *([Tracker(self.keep_lost)] if self.track else []),
            *([ahead] if ahead.hz or ahead.fill_s else []),
            *([Smoother()] if self.smooth == "one_euro" else []),
            *([] if which is None and self.max_people is None else [Selection(which, self.max_people)]),
        ]

    def _check_smoothing(self, video: Video) -> None:
        """Raise ConfigError if --smooth or --fill cannot be done with a video."""
        from lightpose.errors import ConfigError

        if (self.smooth != "none" or self.fill) and not self.track:
            raise ConfigError("--smooth and --fill go by the numbers of people; leave out --no-track")
        if not video.can_be_read_again and (self.smooth == "butterworth" or self.fill):
            named = "--smooth butterworth" if self.smooth == "butterworth" else "--fill"
            raise ConfigError(f"{named} looks ahead, which needs a file; for {video.name} use --smooth one_euro")
        if self.smooth_hz != 6.0 and self.smooth != "butterworth":
            raise ConfigError("--smooth-hz is of --smooth butterworth; add that, or leave it out")
        rate = video.about.rate / self.every * self.slowmo
        if self.smooth == "butterworth" and rate <= 2 * self.smooth_hz:
            raise ConfigError(
                f"--smooth butterworth needs over {2 * self.smooth_hz:g} frames a second, {video.name} has {rate:.4g}; "
                "use --smooth one_euro, or a lower --smooth-hz"
            )

    def _run_videos(
        self,
        clips: dict[str, Video],
        estimator: PoseEstimator,
        whole_unasked: bool,
        every: DetectEvery,
        changing: list[list[Stage | LookAhead]],
    ) -> Iterator[int]:
        from lightpose.cli.console import counting_frames
        from lightpose.errors import ImageError
        from lightpose.inference.format_sinks import FormatSink
        from lightpose.inference.video import LINES, STATE, predict_video
        from lightpose.io.sources import distinct_names

        names = distinct_names([Path(Path(video.name).stem) for video in clips.values()])
        for name, video, stages in zip(names, clips.values(), changing, strict=True):
            out = self.out / name if len(self.sources) > 1 else self.out
            kinds = self._kinds(out, [], (out / STATE).exists() and not self.restart)
            try:
                with counting_frames(video.name, video.expected()) as advance:
                    results = predict_video(
                        video, estimator, out, draw=self.draw, show=self.show, restart=self.restart,
                        resume=self.resume, progress=advance, stages=stages, detect_every=every,
                        sinks=[FormatSink(kind, out, out / LINES, estimator.about) for kind in kinds],
                    )  # fmt: skip
            except ImageError as error:
                if len(self.sources) == 1:
                    raise
                print(f"lightpose: {error}", file=sys.stderr)
                yield 2
            else:
                results.files += [out / kind.file for kind in kinds]
                _print_video(results, video, whole_unasked)
                _print_limits(kinds, () if self.smooth != "none" or self.fill else ("raw joints",))
                yield 1 if results.lost else 0


def read_every(text: str) -> DetectEvery:
    """How often the detector runs. Raises ConfigError for what is no number of frames and not auto."""
    from lightpose.errors import ConfigError

    if text == "auto":
        return "auto"
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"--detect-every must be a number of frames from 1, or auto, not {text}")
    return int(text)


def _print_limits(kinds: list[Format], absent: Collection[str]) -> None:
    """What the formats that were written do not hold. absent: what there is none of."""
    for kind in kinds:
        if limits := kind.limits(absent):
            print(limits)


def _print_video(results: VideoResults, video: Video, whole_unasked: bool) -> None:
    """What was found, and where it was written; what was lost on standard error."""
    for reason in results.lost:
        print(f"lightpose: {video.name}: {reason}", file=sys.stderr)
    for note in results.notes:
        print(f"{video.name}: {note}")
    if whole_unasked:
        print("No --detector and no --boxes given: each frame was taken whole, as one person.")
    if results.resumed:
        print(f"{results.resumed} frames were done already by a run that was interrupted; --restart does them anew.")
    dropped = f", dropped: {results.dropped}" if video.live else ""
    print(f"{video.name}: frames: {results.frames}, people: {results.people}{dropped}")
    rate = (results.frames - results.resumed) / max(results.busy_s, 1e-6)
    print(f"{rate:.1f} frames a second; written: {', '.join(map(str, results.files))}")
    if any(path.suffix == ".webm" for path in results.files):
        print("Without PyAV, drawing takes most of the time: pip install 'lightpose[video]' writes H.264 with sound.")


def _print_results(results: FolderResults, out: Path, drawn: bool, whole_unasked: bool) -> None:
    """What was found, and where it was written; what failed on standard error."""
    for path, reason in results.failed:
        print(f"lightpose: {reason if str(path) in reason else f'{path}: {reason}'}", file=sys.stderr)
    if not results.images:
        return
    if whole_unasked:
        print("No --detector and no --boxes given: each image was taken whole, as one person.")
    nobody = "no person boxed" if results.about["boxes"] == "given" else "nobody found"
    for name in results.nobody:
        print(f"{name}: {nobody}")
    if results.about["boxes"] == "given" and not results.people:
        print("No box fits any image: rows go by file_name, or by image_id, the image's name or number.")
    if results.resumed:
        print(f"{results.resumed} images were done already by a run that was interrupted; --restart does them anew.")
    print(f"images: {results.images}, people: {results.people}, failed: {len(results.failed)}")
    print(f"written to {out}: keypoints.json, poses.json" + (", drawn images" if drawn else ""))
