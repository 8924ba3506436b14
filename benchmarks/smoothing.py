"""What smoothing takes away and what it costs: tremble of a still person, lag behind a moving one, and a plot of both.

    python benchmarks/smoothing.py --plot docs/smoothing.svg

A photo of a person stands still for two thirds of the frames, with fresh noise of a camera in each, then moves aside
and back. The built-in networks find the person in each frame, so that the tremble is their own. Tremble is the mean
second difference of all sure joints while the person stands still; the frames are taken as 15, 30 and 60 a second in
turn. Lag is that behind a point at 4 person sizes a second, in frames.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import tyro

from lightpose import Boxes, Frame, PoseEstimator, Poses, read_image
from lightpose.evaluate.plot import check_plot
from lightpose.inference.look_ahead import FileSmoother
from lightpose.inference.smooth import Smoother
from lightpose.inference.track import Tracker
from lightpose.io.files import write_aside
from lightpose.skeletons import COCO17

Smooth = Callable[[list[Poses], float], list[Poses]]
SURE = 0.3
SPEED = 4.0


@dataclass(frozen=True)
class Options:
    """photo: of one person. frames: how many. noise: standard deviation of a pixel, of 255. plot: .svg, .png…"""

    photo: Path = Path("examples/photos/astronaut.jpg")
    frames: int = 90
    noise: float = 6.0
    plot: Path | None = None


def one_euro(poses: list[Poses], fps: float) -> list[Poses]:
    """As `--smooth one_euro`."""
    smoother = Smoother()
    return [smoother.update(each, n / fps) for n, each in enumerate(poses)]


def butterworth(poses: list[Poses], fps: float, hz: float = 6.0) -> list[Poses]:
    """As `--smooth butterworth`."""
    return [each for each, _ in FileSmoother(hz).over((each, n / fps) for n, each in enumerate(poses))]


WAYS: dict[str, Smooth] = {
    "none": lambda poses, _: poses,
    "one_euro": one_euro,
    "butterworth": butterworth,
    "butterworth, 3 Hz": partial(butterworth, hz=3.0),
}


def frames_of(options: Options) -> list[Frame]:
    """The photo, still and then moving."""
    photo, generator = read_image(options.photo), np.random.default_rng(0)
    still = 2 * options.frames // 3
    frames = []
    for number in range(options.frames):
        aside = round(60 * np.sin(max(0, number - still) / (options.frames - still) * np.pi))
        noisy = np.roll(photo, aside, 1) + generator.normal(0, options.noise, photo.shape)
        frames.append(Frame(np.clip(noisy, 0, 255).astype(np.uint8), index=number, time_s=number / 30))
    return frames


def tremble(poses: list[Poses], sure: np.ndarray) -> float:
    """Mean length of the second differences, in pixels."""
    points = np.array([each.keypoints[0, sure, :2] for each in poses])
    return float(np.linalg.norm(np.diff(points, 2, axis=0), axis=-1).mean())


def lag(smooth: Smooth, fps: float) -> float:
    """Frames by which the calm point is behind, once the filter has settled."""
    size, count = 100.0, round(3 * fps)
    poses = []
    for number in range(count):
        keypoints = np.full((1, len(COCO17), 3), 1.0, np.float32)
        keypoints[..., 0] = SPEED * size * number / fps
        boxes = Boxes(np.array([[0, 0, size, size]], np.float32))
        poses.append(Poses(keypoints, np.ones(1, np.float32), boxes, COCO17, ids=np.array([1])))
    middle = 2 * count // 3
    found = smooth(poses, fps)[middle].keypoints[0, 0, 0]
    return float(abs(poses[middle].keypoints[0, 0, 0] - found) * fps / (SPEED * size))


def plot(poses: list[Poses], joint: int, path: Path) -> None:
    """How a joint moves along x, in each way."""
    figure = check_plot(path)(figsize=(7.5, 3.5), layout="constrained")
    axes = figure.subplots()
    styles = {"none": ("#bbbbbb", 1.0), "one_euro": ("#d9822b", 1.6), "butterworth": ("#1f77b4", 1.6)}
    for name, (color, width) in styles.items():
        x = [each.keypoints[0, joint, 0] for each in WAYS[name](poses, 30)]
        axes.plot(np.arange(len(x)) / 30, x, color=color, linewidth=width, label=name)
    axes.set(xlabel="seconds, 30 frames each", ylabel=f"x of {COCO17.joints[joint]}, pixels")
    axes.legend(frameon=False)
    axes.grid(alpha=0.25)
    content = io.BytesIO()
    figure.savefig(content, format=path.suffix.lower().removeprefix("."), dpi=150)
    write_aside(path, content.getvalue())


def main(options: Options) -> None:
    """Print the table, and draw."""
    tracker = Tracker()
    found = [tracker.update(each, n / 30) for n, (_, each) in enumerate(PoseEstimator().stream(frames_of(options)))]
    poses = [each[each.ids == 1] for each in found if each.ids is not None and 1 in each.ids]
    if len(poses) < len(found):
        raise SystemExit(f"the person was found in {len(poses)} of {len(found)} frames; take another photo")
    still = poses[: 2 * options.frames // 3]
    scores = np.mean([each.keypoints[0, :, 2] for each in still], 0)
    sure = scores > SURE
    print("| smoothing | fps | tremble, pixels | part of none | lag, frames |\n|---|---|---|---|---|")
    for fps in (15, 30, 60):
        raw = tremble(still, sure)
        for name, smooth in WAYS.items():
            calm = tremble(smooth(still, fps), sure)
            print(f"| {name} | {fps} | {calm:.3f} | {calm / raw:.2f} | {lag(smooth, fps):.3f} |")
    if options.plot:
        plot(poses, int(scores.argmax()), options.plot)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
