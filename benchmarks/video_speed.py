"""How fast videos are done, end to end, beside what the networks alone would allow, and the share of each stage.

    python benchmarks/video_speed.py --threads 2
    python benchmarks/video_speed.py --photo examples/photos/astronaut.jpg --frames 120 --people 1 4

The video is 1280x720 at 30 frames a second; a photo of a person moves through it once or four times, beside each other.
One row for each number of people, precision and schedule of the detector. `networks`: detector and pose network on the
same images and crops, run alone, one after the other, in batches of 8 crops. A detector may box a person twice; the
network then runs twice. Between detections each person has one box. `photos`:
`PoseEstimator.predict` on each frame, already decoded.
Each stage is measured alone; reading, networks and writing overlap in the whole, so that shares may add up to more.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import tyro

from lightpose import Boxes, Frame, PoseEstimator, Poses, read_image
from lightpose.inference.schedule import DetectEvery
from lightpose.inference.track import Tracker
from lightpose.inference.video import predict_video
from lightpose.inference.video_sinks import DrawnVideo
from lightpose.io.video import read_video, suffix_written, video_writer
from lightpose.ops.geometry import cut_crops
from lightpose.types import ImageArray

HW, FPS = (720, 1280), 30
SCHEDULES: tuple[DetectEvery, ...] = (1, 5, "auto")


@dataclass(frozen=True)
class Options:
    """photo: of one person. frames: of the video. repeats: the best of so many is taken. draw: write the drawn video
    too."""

    photo: Path = Path("examples/photos/astronaut.jpg")
    frames: int = 150
    people: tuple[int, ...] = (1, 4)
    precisions: tuple[Literal["float32", "int8"], ...] = ("float32", "int8")
    threads: int = 2
    repeats: int = 3
    draw: bool = True


def scene(photo: ImageArray, people: int, number: int) -> ImageArray:
    """A frame with copies of the photo side by side, which sway."""
    height = HW[0] if people == 1 else HW[0] // 2
    width = round(height * photo.shape[1] / photo.shape[0])
    small = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
    image = np.full((*HW, 3), 90, np.uint8)
    across = 1 if people == 1 else 2
    for person in range(people):
        room = HW[1] // across - width
        left = HW[1] // across * (person % across) + round(room * (0.5 + 0.4 * np.sin(number / 40 + person)))
        top = height * (person // across)
        image[top : top + height, left : left + width] = small
    return image


def write_clip(path: Path, photo: ImageArray, people: int, frames: int) -> Path:
    """The video."""
    writer = video_writer(path, HW, FPS)
    for number in range(frames):
        writer.write(scene(photo, people, number), number / FPS)
    writer.close()
    return path


def best_s(work: Callable[[], object], repeats: int) -> float:
    """The shortest time that it takes."""
    taken = []
    for _ in range(repeats):
        start_s = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start_s)
    return min(taken)


@dataclass(frozen=True)
class Alone:
    """Seconds that the networks take for all frames. pose_s: on each box of the detector; kept_s: on those of people
    who were kept."""

    detect_s: float
    pose_s: float
    kept_s: float

    def poses_s(self, detected: float) -> float:
        """What the pose network takes with the detector in such a share of the frames."""
        return self.pose_s * detected + self.kept_s * (1 - detected)


def networks(estimator: PoseEstimator, frames: Sequence[Frame], found: Sequence[Poses]) -> Alone:
    """What the networks take alone."""
    runtime, size = estimator.of_crops("detectors"), estimator.options.batch
    spec = runtime.spec

    def cut(frame: Frame, boxes: Boxes) -> ImageArray:
        return cut_crops(frame.image, boxes.xywh, spec.input_hw, spec.geometry, spec.padding)[0]

    start_s = time.perf_counter()
    step = estimator.together
    boxes = [box for start in range(0, len(frames), step) for box in estimator.find_all(frames[start : start + step])]
    detect_s = time.perf_counter() - start_s
    taken = []
    for some in (boxes, [poses.boxes for poses in found]):
        crops = np.concatenate([cut(frame, each) for frame, each in zip(frames, some, strict=True)])
        start_s = time.perf_counter()
        for start in range(0, len(crops), size):
            runtime.heatmaps(crops[start : start + size])
        taken.append(time.perf_counter() - start_s)
    return Alone(detect_s, *taken)


def measure(clip: Path, estimator: PoseEstimator, out: Path, options: Options, people: int, precision: str) -> None:
    """Print the rows of one number of people and one precision."""
    frames = list(read_video(clip))
    found = [poses for _, poses in estimator.stream(frames)]
    count = len(frames)

    def draw() -> None:
        sink = DrawnVideo(out / f"drawn{suffix_written()}", read_video(clip))
        for frame, poses in zip(frames, found, strict=True):
            sink.write(frame, poses)
        sink.close()

    def read() -> None:
        for _ in read_video(clip):
            pass

    read_s, draw_s = best_s(read, options.repeats), best_s(draw, options.repeats) if options.draw else 0.0
    tries = [networks(estimator, frames, found) for _ in range(options.repeats)]
    alone = Alone(*np.min([astuple(each) for each in tries], axis=0))
    photos_s = best_s(lambda: [estimator.predict(frame.image) for frame in frames], options.repeats)
    for every in SCHEDULES:
        folder = out / f"{people}{precision}{every}"

        def run(every: DetectEvery = every, folder: Path = folder) -> None:
            predict_video(
                read_video(clip), estimator, folder, draw=options.draw, stages=[Tracker()], detect_every=every
            )

        whole_s = best_s(run, options.repeats)
        detected = (folder / "poses.jsonl").read_text().count('"state": "detected"')
        states = (folder / "poses.jsonl").read_text().count('"state": ')
        share = detected / max(states, 1)
        detect_s, pose_s = alone.detect_s * share, alone.poses_s(share)
        alone_s = detect_s + pose_s
        parts = ", ".join(f"{1000 * part / count:.1f}" for part in (read_s, detect_s, pose_s, draw_s))
        print(
            f"| {people} | {precision} | {every} | {count / whole_s:.1f} | {count / alone_s:.1f} "
            f"| {alone_s / whole_s:.0%} | {count / photos_s:.1f} | {parts} |"
        )


def main(options: Options) -> None:
    """Measure, and print the table."""
    photo = read_image(options.photo)
    print("| people | precision | detector | fps | networks | share | photos | ms: read, detect, pose, draw |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for people in options.people:
            clip = write_clip(Path(folder) / f"clip{people}{suffix_written()}", photo, people, options.frames)
            for precision in options.precisions:
                estimator = PoseEstimator(precision=precision, threads=options.threads)
                measure(clip, estimator, Path(folder), options, people, precision)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
