"""How well the tracker keeps identities in clips with labels in MOT format: association alone, or with a detector.

Association alone: of the true boxes a share is dropped and the rest shaken, once for each seed. IDF1, MOTA and switches
are those of the package motmetrics (pip install motmetrics), with intersections over unions of our own; two boxes match
from 0.5.

    python benchmarks/tracking.py clips/mot/TUD-Campus --fps 25
    python benchmarks/tracking.py clips/mot/TUD-Campus --fps 25 --found --detect-every auto
    python benchmarks/tracking.py clips/mot/TUD-Campus --fps 25 --byte-track       # pip install trackers
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Literal

import motmetrics
import numpy as np
import tyro
from numpy.typing import NDArray
from tyro.conf import Positional

from lightpose.inference.estimator import PoseEstimator
from lightpose.inference.interpolate import LookAheadSchedule
from lightpose.inference.schedule import DetectEvery, DetectSchedule
from lightpose.inference.track import Tracker
from lightpose.io.video import read_video
from lightpose.ops.boxes import iou, to_xyxy
from lightpose.results import Boxes, Poses
from lightpose.skeletons import COCO17
from lightpose.types import ImageArray


@dataclass(frozen=True)
class Options:
    """clips: folders with gt/gt.txt. fps: frames a second, one for each clip or one for all. dropped: share of the
    boxes. noise: standard deviation, as a share of a box's width for x and width, of its height for y and height.
    image_hw: of the clips. every: uses one of so many frames. seeds: how many. found: instead, takes what the built-in
    detector finds in the clip's .mp4 of the same name. frames: so many of them at most. detect_every: N or auto, of the
    detector. precision: of both networks. views: of what is found, a run for each. live: without looking ahead. colors:
    whether they count, of what is found. byte_track: ByteTrack of the package trackers instead of our own, with its
    settings as they come. tracker: settings of our own."""

    clips: Positional[tuple[Path, ...]]
    fps: tuple[float, ...] = (25.0,)
    image_hw: tuple[int, int] = (480, 640)
    dropped: float = 0.2
    noise: float = 0.03
    every: int = 1
    seeds: int = 10
    found: bool = False
    frames: int | None = None
    detect_every: str = "1"
    precision: Literal["auto", "float32", "int8"] = "auto"
    views: tuple[Literal["plain", "darker", "lighter", "mirrored"], ...] = ("plain",)
    live: bool = False
    colors: bool = True
    byte_track: bool = False
    tracker: Tracker = field(default_factory=Tracker)


@dataclass(frozen=True)
class Score:
    """idf1, mota: at most 1. switches: how often a person got another id."""

    idf1: float
    mota: float
    switches: int


class ByteTrack:
    """That of the package trackers, behind what `Tracker` has."""

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self.reset()

    def reset(self) -> None:
        """Forget everybody."""
        from trackers import ByteTrackTracker

        self._tracker = ByteTrackTracker(frame_rate=self._fps)

    def update(self, poses: Poses, time_s: float, image: ImageArray | None = None) -> Poses:  # noqa: ARG002
        """The confirmed people, with their ids; it counts frames."""
        from supervision import Detections

        found = Detections(to_xyxy(poses.boxes.xywh), confidence=poses.boxes.scores, class_id=np.arange(len(poses)))
        tracked = self._tracker.update(found)
        ids = np.zeros(0, np.int64) if tracked.tracker_id is None else np.asarray(tracked.tracker_id, np.int64)
        which = np.asarray(tracked.class_id, np.intp)[ids >= 0]
        return replace(poses[which], ids=ids[ids >= 0] + 1)


def people_of(xywh: NDArray[np.float64], image_hw: tuple[int, int]) -> Poses:
    """Poses that are boxes alone: all joints score 0."""
    count = len(xywh)
    keypoints = np.zeros((count, len(COCO17), 3), np.float32)
    return Poses(keypoints, np.ones(count, np.float32), Boxes(xywh.astype(np.float32)), COCO17, image_hw)


def measure(rows: NDArray[np.float64], image_hw: tuple[int, int], fps: float, options: Options, seed: int) -> Score:
    """rows: (N, 6) frame, id, left, top, width, height. The frames that are left out are not judged."""
    generator = np.random.default_rng(seed)
    shaken = []
    for frame in range(1, int(rows[:, 0].max()) + 1):
        true = rows[rows[:, 0] == frame]
        kept = true[generator.random(len(true)) >= options.dropped, 2:]
        boxes = kept + generator.normal(0, options.noise, kept.shape) * kept[:, [2, 3, 2, 3]]
        shaken.append((people_of(boxes, image_hw), None))
    return judged(rows, shaken, fps, options)


def judged(
    rows: NDArray[np.float64], people: Iterable[tuple[Poses, ImageArray | None]], fps: float, options: Options
) -> Score:
    """people: in frame 1, 2, …, with the image or without."""
    judge = motmetrics.MOTAccumulator(auto_id=True)
    tracker = ByteTrack(fps / options.every) if options.byte_track else options.tracker
    tracker.reset()
    for frame, (poses, image) in islice(enumerate(people, 1), None, None, options.every):
        true = rows[rows[:, 0] == frame]
        found = tracker.update(poses, frame / fps, image if options.colors else None)
        ids, boxes = found.ids, found.boxes.xywh.astype(np.float64)
        overlap = iou(to_xyxy(true[:, 2:]), to_xyxy(boxes))
        distance = np.where(overlap >= 0.5, 1 - overlap, np.nan)
        judge.update(true[:, 1].astype(int).tolist(), [] if ids is None else ids.tolist(), distance)
    table = motmetrics.metrics.create().compute(judge, ["idf1", "mota", "num_switches"])
    return Score(float(table.idf1.iloc[0]), float(table.mota.iloc[0]), int(table.num_switches.iloc[0]))


def seen(image: ImageArray, view: str) -> ImageArray:
    """The image in one of the views."""
    if view == "mirrored":
        return np.ascontiguousarray(image[:, ::-1])
    gain, lift = {"plain": (1.0, 0.0), "darker": (0.85, 0.0), "lighter": (1.15, 5.0)}[view]
    changed: ImageArray = np.clip(image * gain + lift, 0, 255).astype(np.uint8)
    return changed


def found_in(clip: Path, rows: NDArray[np.float64], fps: float, options: Options, view: str) -> Score:
    """How well people are told apart whom the built-in detector finds in a view of the clip."""
    path = clip / f"{clip.name}.mp4"
    frames = (replace(frame, image=seen(frame.image, view)) for frame in islice(read_video(path), options.frames))
    every: DetectEvery = "auto" if options.detect_every == "auto" else int(options.detect_every)
    schedule = DetectSchedule(every) if options.live else LookAheadSchedule(every)
    stream = PoseEstimator(precision=options.precision).stream(frames, detect_every=schedule)
    true = rows.copy()
    if view == "mirrored":
        width = next(iter(read_video(path))).image.shape[1]
        true[:, 2] = width - rows[:, 2] - rows[:, 4]
    return judged(true, ((poses, frame.image) for frame, poses in stream), fps, options)


def main() -> None:
    """Print the means over the seeds for each clip."""
    options = tyro.cli(Options, description=__doc__)
    print("| clip | IDF1 | lowest and highest | MOTA | switches |\n|---|---|---|---|---|")
    for number, clip in enumerate(options.clips):
        rows = np.loadtxt(clip / "gt" / "gt.txt", delimiter=",", usecols=range(6), ndmin=2)
        fps = options.fps[min(number, len(options.fps) - 1)]
        if options.found:
            scores = [found_in(clip, rows, fps, options, view) for view in options.views]
        else:
            scores = [measure(rows, options.image_hw, fps, options, seed) for seed in range(options.seeds)]
        idf1 = [score.idf1 for score in scores]
        mota, switches = (np.mean([getattr(score, name) for score in scores]) for name in ("mota", "switches"))
        extremes = f"{min(idf1):.3f} to {max(idf1):.3f}"
        print(f"| {clip.name} | {np.mean(idf1):.3f} | {extremes} | {mota:.3f} | {switches:.1f} |")


if __name__ == "__main__":
    main()
