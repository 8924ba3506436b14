"""Videos cut into shards by `lightpose bulk`: whether people have the ids that they have in the uncut video.

Each clip is run uncut, then cut into shards, each time by `lightpose.scale.run` and `lightpose bulk merge`. Of the rows
with the same keypoints the ids are compared. A person counts as the same if all rows of that id have one id in the
other run, and no other person has it. Hidden at a seam is who is there before and after it, but not in the last frame
before it or not in the first one after it.

    python benchmarks/bulk_videos.py clips/mot/TUD-Stadtmitte/TUD-Stadtmitte.mp4 clips/mot/PETS09-S2L1/PETS09-S2L1.mp4

Kept results are used again: --folder keeps them.
"""

import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from numpy.typing import NDArray
from tyro.conf import Positional

import lightpose
import lightpose.scale
from lightpose.inference.schedule import DetectEvery
from lightpose.io.video import cut_video, read_video
from lightpose.scale.merge import merge


@dataclass(frozen=True)
class Options:
    """clips: videos. shards: into how many each is cut. folder: for the results; a temporary one if not given.
    detect_every: N or auto. model: bundled, or a file. workers: processes, with a thread each."""

    clips: Positional[tuple[Path, ...]]
    shards: int = 3
    folder: Path | None = None
    detect_every: str = "1"
    model: str = "lpn50"
    workers: int = 1


@dataclass(frozen=True)
class Rows:
    """The people of a video: frame, id, and a key of their keypoints, one for each person and frame."""

    frames: NDArray[np.int64]
    ids: NDArray[np.int64]
    keys: list[bytes]


def run(clip: Path, out: Path, seconds: float, options: Options) -> Rows:
    """The people of a clip that is cut so."""
    every: DetectEvery = "auto" if options.detect_every == "auto" else int(options.detect_every)
    begun_s = time.perf_counter()
    if not (out / "merged").exists():
        report = lightpose.scale.run(
            clip, out / "parts", workers=options.workers, threads=1, shard_seconds=seconds, detect_every=every,
            model=options.model,
        )  # fmt: skip
        merge(str(out / "parts"), str(out / "merged"))
        print(f"{clip.stem}: {report.shards} shards, {report.frames} frames, {time.perf_counter() - begun_s:.0f} s")
    frames, ids, keys = [], [], []
    for poses in lightpose.read(next((out / "merged").iterdir())):
        for number, person in enumerate([] if poses.ids is None else poses.ids.tolist()):
            frames.append(poses.frame)
            ids.append(person)
            keys.append(poses.keypoints[number].tobytes())
    return Rows(np.array(frames), np.array(ids), keys)


def compare(uncut: Rows, cut: Rows, seams: list[int]) -> str:
    """A row of the table. seams: the first frame of each shard but the first."""
    place = {pair: number for number, pair in enumerate(zip(cut.frames.tolist(), cut.keys, strict=True))}
    found = [place.get(pair, -1) for pair in zip(uncut.frames.tolist(), uncut.keys, strict=True)]
    other = np.where(np.array(found) >= 0, cut.ids[found], -1)
    same = equal = hidden_other = 0
    people = np.unique(uncut.ids).tolist()
    for person in people:
        mine = uncut.ids == person
        names = np.unique(other[mine])
        is_one = len(names) == 1 and names[0] >= 0 and np.unique(uncut.ids[other == names[0]]).tolist() == [person]
        same += is_one
        equal += is_one and names[0] == person
        hidden_other += not is_one and hidden(uncut.frames[mine], seams)
    lost = int((np.array(found) < 0).sum())
    return f"{len(people)} | {same} | {equal} | {len(people) - same} | {hidden_other} | {lost} of {len(found)}"


def hidden(frames: NDArray[np.int64], seams: list[int]) -> bool:
    """Whether somebody who is in those frames is hidden at a seam."""
    there = set(frames.tolist())
    return any(
        min(there) < seam <= max(there) and not {seam - 1, seam} <= there for seam in seams
    )  # fmt: skip


def main(options: Options) -> None:
    """Print a table."""
    folder = options.folder or Path(tempfile.mkdtemp(prefix="bulk_videos"))
    lines = []
    for clip in options.clips:
        video = read_video(clip)
        seconds = (video.about.duration_s or 60.0) / options.shards + 1e-3
        video.close()
        seams = [each.first for each in cut_video(clip, seconds, 0.0)[1:]]
        uncut = run(clip, folder / f"{clip.stem}-{options.detect_every}-1", 86_400, options)
        cut = run(clip, folder / f"{clip.stem}-{options.detect_every}-{options.shards}", seconds, options)
        lines.append(f"| {clip.stem} | {len(seams) + 1} | {compare(uncut, cut, seams)} |")
    print("| clip | shards | people | same person | same number | others | hidden at a seam | rows without match |")
    print("|---|---|---|---|---|---|---|---|")
    print("\n".join(lines))
    if options.folder is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
