"""Videos cut into shards by `lightpose bulk`: whether people have the ids that they have in the uncut video.

    python benchmarks/bulk_videos.py clips/mot/TUD-Stadtmitte/TUD-Stadtmitte.mp4 clips/mot/PETS09-S2L1/PETS09-S2L1.mp4
    python benchmarks/bulk_videos.py clips/mot/TUD-Stadtmitte/TUD-Stadtmitte.mp4 --sweep 12

Each clip is run uncut, then cut into shards, each time by `lightpose.scale.run` and `lightpose bulk merge`. A person
counts as the same if all rows of that id have one id in the other run, and no other person has it. Hidden at a seam is
who is there before and after it, but not in the last frame before it or not in the first one after it.

--sweep cuts at so many other places as well, for several lengths of the run-up, with one look of the detector at each
frame: the same trackers and the same joining, without processes, joints and files. --folder keeps the results of runs.
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import tyro
from numpy.typing import NDArray
from tyro.conf import Positional

import lightpose
import lightpose.scale
from lightpose.inference.estimator import PoseEstimator
from lightpose.inference.schedule import DetectEvery
from lightpose.inference.track import Tracker
from lightpose.io.video import cut_video, read_video
from lightpose.results import Poses
from lightpose.scale.merge import merge
from lightpose.scale.seams import Sights, joined_ids, same_people
from lightpose.scale.settings import OfVideos
from lightpose.skeletons import COCO17


@dataclass(frozen=True)
class Options:
    """clips: videos. shards: into how many each is cut. folder: for the results; a temporary one if not given.
    detect_every: N or auto. model: bundled, or a file. workers: processes, with a thread each. sweep: at how many
    places to cut instead. run_ups: seconds, of a sweep."""

    clips: Positional[tuple[Path, ...]]
    shards: int = 3
    folder: Path | None = None
    detect_every: str = "1"
    model: str = "lpn50"
    workers: int = 1
    sweep: int = 0
    run_ups: tuple[float, ...] = (0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True)
class Rows:
    """The people of a video: frame, id, and a key of what was found, one for each person and frame."""

    frames: NDArray[np.int64]
    ids: NDArray[np.int64]
    keys: list[bytes]

    @classmethod
    def of(cls, frames: Iterable[Poses], key: Callable[[Poses], NDArray[np.float32]]) -> "Rows":
        """Those of tracked frames. key: (N, ...) what tells a person of a frame from the others."""
        rows = [
            (poses.frame or 0, person, what.tobytes())
            for poses in frames
            for person, what in zip([] if poses.ids is None else poses.ids.tolist(), key(poses), strict=False)
        ]
        return cls(np.array([row[0] for row in rows]), np.array([row[1] for row in rows]), [row[2] for row in rows])


def run(clip: Path, out: Path, seconds: float, options: Options) -> Rows:
    """The people of a clip that is cut so."""
    every: DetectEvery = "auto" if options.detect_every == "auto" else int(options.detect_every)
    begun_s = time.perf_counter()
    if not (out / "merged").exists():
        report = lightpose.scale.run(
            clip, out / "parts", workers=options.workers, threads=1, shard_seconds=seconds, detect_every=every,
            model=options.model, run_up=min(seconds, OfVideos().run_up_s),
        )  # fmt: skip
        merge(str(out / "parts"), str(out / "merged"))
        took_s = time.perf_counter() - begun_s
        print(f"{clip.stem}: {report.shards} shards, {report.frames} frames, {took_s:.0f} s", file=sys.stderr)
    return Rows.of(lightpose.read(next((out / "merged").iterdir())), lambda poses: poses.keypoints)


@dataclass(frozen=True)
class Counts:
    """people: of the uncut video. same, equal: who are one person in the cut one, and who have the same number. hidden:
    of the others, who are hidden at a seam. lost: rows that the cut video has not."""

    people: int = 0
    same: int = 0
    equal: int = 0
    hidden: int = 0
    lost: int = 0
    rows: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    def __str__(self) -> str:
        others = self.people - self.same
        return f"{self.people} | {self.same} | {self.equal} | {others} | {self.hidden} | {self.lost} of {self.rows}"


def compare(uncut: Rows, cut: Rows, seams: list[int]) -> Counts:
    """seams: the first frame of each shard but the first."""
    place = {pair: number for number, pair in enumerate(zip(cut.frames.tolist(), cut.keys, strict=True))}
    found = np.array([place.get(pair, -1) for pair in zip(uncut.frames.tolist(), uncut.keys, strict=True)])
    other = np.where(found >= 0, cut.ids[found], -1)
    counts = Counts(lost=int((found < 0).sum()), rows=len(found))
    for person in np.unique(uncut.ids).tolist():
        mine = uncut.ids == person
        names = np.unique(other[mine])
        is_one = len(names) == 1 and names[0] >= 0 and np.unique(uncut.ids[other == names[0]]).tolist() == [person]
        is_hidden = not is_one and hidden(uncut.frames[mine], seams)
        counts += Counts(1, int(is_one), int(is_one and names[0] == person), int(is_hidden))
    return counts


def hidden(frames: NDArray[np.int64], seams: list[int]) -> bool:
    """Whether somebody who is in those frames is hidden at a seam."""
    there = set(frames.tolist())
    return any(
        min(there) < seam <= max(there) and not {seam - 1, seam} <= there for seam in seams
    )  # fmt: skip


def boxes_of(clip: Path) -> list[Poses]:
    """What the built-in detector finds in each frame, as people without joints."""
    estimator, found = PoseEstimator(), []
    for frame in read_video(clip):
        boxes = estimator.find_people(frame.image)
        keypoints = np.zeros((len(boxes), len(COCO17), 3), np.float32)
        size = frame.image.shape[:2]
        poses = Poses(keypoints, boxes.scores, boxes, COCO17, (size[0], size[1]), clip.name)
        found.append(replace(poses, frame=frame.index, time_s=frame.time_s))
    return found


def tracked(frames: list[Poses]) -> list[Poses]:
    """The frames with ids."""
    tracker = Tracker()
    return [tracker.update(poses, poses.time_s or 0.0) for poses in frames]


def joined(frames: list[Poses], starts_s: list[float], run_up_s: float) -> list[Poses]:
    """The frames with ids, tracked in shards with those starts and joined."""
    count, ids, before = 0, dict[int, int](), dict[str, list[list[float]]]()
    found: list[Poses] = []
    for start_s, end_s in pairwise([0.0, *starts_s, np.inf]):
        run_up, last, own = Sights(), Sights(), []
        for poses in tracked([each for each in frames if start_s - run_up_s <= (each.time_s or 0.0) < end_s]):
            if (poses.time_s or 0.0) < start_s:
                run_up.add(poses)
                continue
            own.append(poses)
            if (poses.time_s or 0.0) >= end_s - run_up_s:
                last.add(poses)
        people = sorted({person for poses in own if poses.ids is not None for person in poses.ids.tolist()})
        ids, count = joined_ids(people, same_people(before, run_up.to_json()), ids, count)
        before = last.to_json()
        found += [replace(poses, ids=np.array([ids[each] for each in _people(poses)], np.int64)) for poses in own]
    return found


def _people(poses: Poses) -> list[int]:
    return [] if poses.ids is None else poses.ids.tolist()


def sweep(clip: Path, options: Options) -> list[str]:
    """Rows of the table: one for each run-up, over all places."""
    frames = boxes_of(clip)
    uncut = Rows.of(tracked(frames), lambda poses: poses.boxes.xywh)
    times, lines = np.array([poses.time_s for poses in frames]), []
    for run_up_s in options.run_ups:
        total = Counts()
        for place in range(options.sweep):
            shard_s = times[-1] / options.shards
            starts_s = [shard_s * (number + 0.5 + 0.5 * place / options.sweep) for number in range(options.shards - 1)]
            cut = Rows.of(joined(frames, starts_s, run_up_s), lambda poses: poses.boxes.xywh)
            total += compare(uncut, cut, np.searchsorted(times, starts_s).tolist())
        lines.append(f"| {clip.stem}, {options.sweep} places | {options.shards} | {run_up_s:g} | {total} |")
    return lines


def run_both(clip: Path, folder: Path, options: Options) -> list[str]:
    """The row of the table for whole runs."""
    video = read_video(clip)
    seconds = (video.about.duration_s or 60.0) / options.shards + 1e-3
    video.close()
    seams = [each.first for each in cut_video(clip, seconds, 0.0)[1:]]
    uncut = run(clip, folder / f"{clip.stem}-{options.detect_every}-1", 86_400, options)
    cut = run(clip, folder / f"{clip.stem}-{options.detect_every}-{options.shards}", seconds, options)
    run_up_s = min(seconds, OfVideos().run_up_s)
    return [f"| {clip.stem} | {len(seams) + 1} | {run_up_s:g} | {compare(uncut, cut, seams)} |"]


def main(options: Options) -> None:
    """Print a table."""
    folder = options.folder or Path(tempfile.mkdtemp(prefix="bulk_videos"))
    print("| clip | shards | run-up s | people | same person | same number | others | hidden at a seam | rows lost |")
    print("|---|---|---|---|---|---|---|---|---|")
    for clip in options.clips:
        print("\n".join(sweep(clip, options) if options.sweep else run_both(clip, folder, options)), flush=True)
    if options.folder is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
