"""Whole runs over videos: rows and ids are those of the uncut video, whatever the cut, the workers and what dies."""

import io
import json
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import lightpose
import lightpose.scale
from lightpose.cli import main
from lightpose.errors import ConfigError, ImageError
from lightpose.io.video import read_video
from lightpose.results import Poses
from lightpose.results.tables import LONG
from lightpose.scale.bulk import run_bulk
from lightpose.scale.check import verify
from lightpose.scale.local import LocalEngine
from lightpose.scale.merge import merge
from lightpose.scale.report import Report
from lightpose.scale.settings import Network, OfVideos, Settings
from lightpose.scale.source import Item, SourceOptions, open_inputs
from lightpose.scale.video_worker import VideoWorker
from tests.detect import graphs
from tests.io.video.clips import cut, damage, write_click, write_clip
from tests.scale.s3 import Bucket
from tests.scale.small import draw_images, parts_of

pytest.importorskip("onnx")
av = pytest.importorskip("av")

RATE = 10
SEAM_S = 2.0
KEPT = np.array([64, 64, 1024])
"""Steps of a pixel and of a score that a file keeps."""
SEEN_S = (((0.0, 6.0),), ((1.0, 1.8), (2.3, 6.0)), ((0.5, 0.9), (4.2, 6.0)))
"""When each of three people is seen. The second is hidden at the seam at 2 s; the third comes back as another."""


def seen(number: int) -> np.ndarray:
    """A frame whose colours say who is in it."""
    time_s = number / RATE
    colors = [255 if any(start <= time_s < end for start, end in times) else 0 for times in SEEN_S]
    return np.full((48, 64, 3), colors, np.uint8)


def clip(path: Path, seconds: float = 6.0, **more: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_clip(path, [n / RATE for n in range(round(seconds * RATE))], make=seen, **more)


def network(folder: Path) -> Network:
    """Finds three people at fixed places, each if its colour is in the first pixel."""
    folder.mkdir(exist_ok=True)
    boxes = np.array([[2, 4, 18, 44], [24, 4, 40, 44], [46, 4, 62, 44]])
    detector = graphs.ours(folder / "boxes.onnx", boxes, np.array([1.0, 1.0, 1.0]), seen=True)
    return Network(str(graphs.pose_network(folder / "pose.onnx")), str(detector))


def bulk(
    place: Path | str, out: Path | str, networks: Path, workers: int = 1, make_worker: object = None, **videos: object
) -> Report:
    settings = Settings(network(networks), videos=OfVideos(**{"shard_seconds": SEAM_S, "keep_lost": 1.0, **videos}))
    return run_bulk([str(place)], str(out), settings, LocalEngine(workers, 1), make_worker=make_worker)


def rows_of(frames: Sequence[Poses]) -> list[tuple]:
    """Frame, time, and of each person id, state and keypoints, as far as a file keeps them; people by their ids."""
    return [
        (each.frame, each.time_s, sorted(zip(_ids(each), each.states.tolist(), _kept(each), strict=True)))
        for each in frames
    ]


def _ids(poses: Poses) -> list[int]:
    return [-1 - number for number in range(len(poses))] if poses.ids is None else poses.ids.tolist()


def _kept(poses: Poses) -> list:
    return np.round(poses.keypoints.astype(np.float64) * KEPT).tolist()


def uncut(path: Path, networks: Path, **how: object) -> list[tuple]:
    """The rows of the video as a whole, by the estimator itself."""
    return rows_of([poses for _, poses in network(networks).open(1).stream(path, **how)])


def merged(out: Path | str, to: Path) -> list[list[tuple]]:
    """The rows of each file of a merge."""
    return [rows_of(list(lightpose.read(to / name))) for name in merge(str(out), str(to))]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_three_shards_have_the_rows_and_ids_of_the_uncut_video(suffix: str, tmp_path: Path):
    path, out = clip(tmp_path / f"in/a{suffix}", options={"bf": "2", "g": "25"}), tmp_path / "out"
    report = bulk(path.parent, out, tmp_path / "nets")
    assert (report.images, report.frames, report.shards, report.failed, report.finished) == (3, 60, 3, 0, True)
    assert verify(str(out)).faults == []
    expected = uncut(path, tmp_path / "nets")
    assert merged(out, tmp_path / "merged") == [expected]
    ids = {frame: [person for person, *_ in people] for frame, _, people in expected}
    assert (ids[7], ids[17], ids[20], ids[30], ids[59]) == ([1, 2], [1, 3], [1], [1, 3], [1, 3, 4])
    assert report.people == sum(map(len, ids.values()))


@pytest.mark.slow
def test_people_are_joined_although_ids_of_parts_are_their_own(tmp_path: Path):
    path, out = clip(tmp_path / "in/a.mp4"), tmp_path / "out"
    bulk(path.parent, out, tmp_path / "nets")
    last = lightpose.read(out / "part-000002.parquet")
    assert {person for poses in last for person in poses.ids.tolist()} == {1, 2, 3}
    table = pq.read_table(out / "_ids.parquet").to_pylist()
    assert [(row["shard"], row["person"], row["id"]) for row in table if row["shard"] == 2] == [
        (2, 1, 1), (2, 2, 3), (2, 3, 4)
    ]  # fmt: skip
    assert {row["source"] for row in table} == {"a.mp4"}
    part = pq.read_table(out / "part-000001.parquet")
    assert part.column_names == list(LONG)
    assert part["frame"].to_pylist()[0] == 20


@pytest.mark.slow
def test_the_parts_do_not_depend_on_workers_or_on_what_was_lost(tmp_path: Path):
    for name in ("a.mp4", "sub/b.mkv"):
        clip(tmp_path / "in" / name)
    bulk(tmp_path / "in", tmp_path / "one", tmp_path / "nets", 1)
    bulk(tmp_path / "in", tmp_path / "two", tmp_path / "nets", 3)
    parts, ids = parts_of(tmp_path / "one"), (tmp_path / "one/_ids.parquet").read_bytes()
    assert parts_of(tmp_path / "two") == parts
    assert len(parts) == 6
    assert (tmp_path / "two/_ids.parquet").read_bytes() == ids
    (tmp_path / "two/part-000004.parquet").unlink()
    (tmp_path / "two/_ids.parquet").unlink()
    assert verify(str(tmp_path / "two")).count == 1
    bulk(tmp_path / "in", tmp_path / "two", tmp_path / "nets", 1)
    assert parts_of(tmp_path / "two") == parts
    assert (tmp_path / "two/_ids.parquet").read_bytes() == ids
    (tmp_path / "two/_ids.parquet").unlink()  # as if it had been killed after the last part
    assert "_ids.parquet is not there" in verify(str(tmp_path / "two")).faults[0]
    bulk(tmp_path / "in", tmp_path / "two", tmp_path / "nets", 1)
    assert (tmp_path / "two/_ids.parquet").read_bytes() == ids
    names = merge(str(tmp_path / "two"), str(tmp_path / "merged"))
    assert names == ["a.mp4.parquet", "sub_b.mkv.parquet"]
    [rows] = merge(str(tmp_path / "two"), str(tmp_path / "rows"), 1_000_000)
    assert set(pq.read_table(tmp_path / "rows" / rows)["source"].to_pylist()) == {"a.mp4", "sub/b.mkv"}


@pytest.mark.slow
@pytest.mark.parametrize("how", [{"track": False}, {"detect_every": 3}, {"detect_every": "auto"}])
def test_options_of_videos_are_those_of_predict(how: dict, tmp_path: Path):
    path, out = clip(tmp_path / "in/a.mp4"), tmp_path / "out"
    bulk(path, out, tmp_path / "nets", shard_seconds=60.0, **how)
    expected = uncut(path, tmp_path / "nets", **how)
    [rows] = merged(out, tmp_path / "merged")
    assert rows == expected
    assert (out / "_ids.parquet").exists() == how.get("track", True)


@pytest.mark.slow
def test_another_cut_and_changed_videos_are_refused_and_options_of_images_too(tmp_path: Path):
    path, out, nets = clip(tmp_path / "in/a.mp4"), tmp_path / "out", tmp_path / "nets"
    bulk(path.parent, out, nets)
    before = parts_of(out)
    others = (
        ({"shard_seconds": 3.0}, "shard_seconds was 2.0, and is 3.0"),
        ({"keep_lost": 0.5}, "keep_lost was 1.0"),
        ({"detect_every": 2}, "detect_every was 1, and is 2"),
        ({"run_up": 1.0}, "run_up was null, and is 1.0"),
    )
    for more, told in others:
        with pytest.raises(ConfigError, match=told):
            bulk(path.parent, out, nets, **more)
    os.utime(path, (1, 1))
    with pytest.raises(ConfigError, match=r"a\.mp4 has changed since"):
        bulk(path.parent, out, nets)
    path.rename(path.with_name("b.mp4"))
    with pytest.raises(ConfigError, match=r"number 1 was 'a\.mp4', and is 'b\.mp4'"):
        bulk(path.parent, out, nets)
    assert parts_of(out) == before


def test_options_that_mean_nothing_are_refused_before_anything_is_written(tmp_path: Path):
    path, out = clip(tmp_path / "in/a.mp4"), str(tmp_path / "out")
    with pytest.raises(ConfigError, match=r"--rows, --shard is for images, and the inputs are videos"):
        run_bulk([str(path)], out, Settings(network(tmp_path / "nets"), rows="person", shard=5))
    images = draw_images(tmp_path / "photos", 2)
    videos = OfVideos(shard_seconds=5.0, track=False)
    with pytest.raises(ConfigError, match=r"--shard-seconds, --track is for videos, and the inputs are images"):
        run_bulk([str(images)], out, Settings(network(tmp_path / "nets"), videos=videos))
    boxes = tmp_path / "boxes.json"
    boxes.write_text("[]")
    with pytest.raises(ConfigError, match="a file of boxes goes by names of images"):
        run_bulk([str(path)], out, Settings(replace(network(tmp_path / "nets"), detector=str(boxes))))
    with pytest.raises(ConfigError, match="shard_seconds must be from 4"):
        OfVideos(shard_seconds=2.0, keep_lost=3.0)
    assert not Path(out).exists()


def listed(*inputs: object) -> list[str]:
    return [item.source for item in open_inputs(list(map(str, inputs)), SourceOptions(shard_s=3.0)).items()]


def test_videos_are_named_by_files_folders_patterns_and_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first, second = clip(tmp_path / "in/a.mp4", 2.0), clip(tmp_path / "in/sub/b.mkv", 4.0)
    (tmp_path / "in/notes.txt").write_text("no video")
    assert listed(tmp_path / "in") == ["a.mp4", "sub/b.mkv#t=0,3", "sub/b.mkv#t=3"]
    assert listed(first, second)[0] == str(first)
    assert listed(f"{tmp_path}/in/**/*.m*4") == [str(first)]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.txt").write_text("in/a.mp4\n\nin/none.mp4\nin/sub/b.mkv\n")
    assert listed("list.txt") == ["in/a.mp4", "in/none.mp4", "in/sub/b.mkv#t=0,3", "in/sub/b.mkv#t=3"]


def test_images_and_videos_are_runs_of_their_own(tmp_path: Path):
    path = clip(tmp_path / "in/a.mp4", 2.0)
    images = draw_images(tmp_path / "in", 2)
    assert listed(tmp_path / "in") == ["00000.png", "00001.png"]
    with pytest.raises(ConfigError, match=r"names images and videos; give each to a run of its own"):
        listed(f"{tmp_path}/in/*")
    with pytest.raises(ConfigError, match=r"a\.mp4 is a video and .* is a folder; give them to a run of their own"):
        listed(path, images / "00000.png")
    with pytest.raises(ConfigError, match="webcam:0 is a camera"):
        listed("webcam:0")
    with pytest.raises(ImageError, match=r"there is no file or folder .*none\.mp4"):
        listed(tmp_path / "none.mp4")
    with pytest.raises(ConfigError, match="--keep id is for tables and tars"):
        open_inputs([str(path)], SourceOptions(keep=("id",)))


@pytest.mark.slow
def test_damaged_and_cut_videos_have_the_rows_up_to_there_and_the_second_in_the_errors(tmp_path: Path):
    nets, out = tmp_path / "nets", tmp_path / "out"
    noisy = {"hw": (96, 128), "container": {"movflags": "faststart"}}
    whole = clip(tmp_path / "in/whole.mp4")
    damage(write_clip(tmp_path / "in/damaged.mp4", [n / RATE for n in range(60)], **noisy), 0.55)
    cut(write_clip(tmp_path / "in/cut.mkv", [n / RATE for n in range(60)]))
    (tmp_path / "in/broken.mp4").write_bytes(whole.read_bytes()[:500])
    with av.open(tmp_path / "in/sound.mp4", "w") as file:
        write_click(file, file.add_stream("aac", rate=48_000, layout="mono"), 0.1, 0.5)
    report = bulk(tmp_path / "in", out, nets)
    errors = {row["source"]: (row["status"], row["error"]) for row in pq.read_table(out / "errors.parquet").to_pylist()}
    assert errors["sound.mp4"][0] == errors["broken.mp4"][0] == "unreadable"
    assert "has no video track, only sound; name a video" in errors["sound.mp4"][1]
    [at] = [source for source in errors if source.startswith("damaged.mp4")]
    assert errors[at][0] == "damaged"
    assert errors[at][1].startswith("it is damaged")
    [end] = [source for source in errors if source.startswith("cut.mkv")]
    assert (errors[end][0], "it is cut short: of its 5.93 s, nothing after 3.50 s" in errors[end][1]) == (
        "damaged",
        True,
    )
    assert dict(report.failures) == {"damaged": 2, "unreadable": 2}
    assert verify(str(out)).faults == []
    names = merge(str(out), str(tmp_path / "merged"))
    assert names == ["cut.mkv.parquet", "damaged.mp4.parquet", "whole.mp4.parquet"]
    for name, source in (("cut.mkv.parquet", "cut.mkv"), ("damaged.mp4.parquet", "damaged.mp4")):
        frames = [poses.frame for poses in lightpose.read(tmp_path / "merged" / name)]
        times = [frame.time_s for frame in read_video(tmp_path / "in" / source)]
        found = [poses.time_s for poses in lightpose.read(tmp_path / "merged" / name)]
        assert found == times
        assert frames == sorted(set(frames))


class Deadly(VideoWorker):
    """Ends by a signal at the second range of a video."""

    def open_video(self, item: Item) -> object:
        if item.source.endswith("#t=2,4"):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().open_video(item)


@pytest.mark.slow
def test_a_range_that_ends_its_process_is_set_aside_and_the_others_are_done(tmp_path: Path):
    path, out = clip(tmp_path / "in/a.mp4"), tmp_path / "out"
    report = bulk(path.parent, out, tmp_path / "nets", 1, Deadly)
    assert dict(report.failures) == {"poison": 1}
    [row] = pq.read_table(out / "errors.parquet").to_pylist()
    assert (row["source"], row["status"], row["shard"]) == ("a.mp4#t=2,4", "poison", 1)
    assert verify(str(out)).faults == []
    [rows] = merged(out, tmp_path / "merged")
    assert [row[0] for row in rows] == [*range(20), *range(40, 60)]


@pytest.mark.slow
def test_videos_of_a_bucket_are_read_in_place(bucket: Bucket, tmp_path: Path):
    path = clip(tmp_path / "in/a.mp4")
    bucket.put("clips/a.mp4", path.read_bytes())
    report = bulk(f"{bucket.where}/clips/*.mp4", f"{bucket.where}/out", tmp_path / "nets")
    assert (report.frames, report.failed) == (60, 0)
    [rows] = merged(f"{bucket.where}/out", tmp_path / "merged")
    assert rows == uncut(path, tmp_path / "nets")


@pytest.mark.slow
def test_a_video_at_an_address_has_the_rows_of_the_file(site: tuple[str, dict], tmp_path: Path):
    where, pages = site
    path = clip(tmp_path / "in/a.mp4")
    pages["/a.mp4"] = (200, {"Content-Type": "video/mp4", "Accept-Ranges": "bytes", "ETag": '"1"'}, path.read_bytes())
    report = bulk(f"{where}/a.mp4", tmp_path / "out", tmp_path / "nets")
    assert (report.frames, report.failed) == (60, 0)
    [rows] = merged(tmp_path / "out", tmp_path / "merged")
    assert rows == uncut(path, tmp_path / "nets")


@pytest.mark.slow
def test_the_command_says_what_it_did_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture):
    path, out, nets = clip(tmp_path / "in/a.mp4"), tmp_path / "out", network(tmp_path / "nets")

    def said(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([*map(str, words)])
        return (ended.value.code, *capsys.readouterr())

    words = ["bulk", "run", path, "--out", out, "--model", nets.model, "--detector", nets.detector, "--workers", 1,
             "--keep-lost", 1]  # fmt: skip
    assert said(*words, "--shard-seconds", 2, "--dry-run") == (
        0, f"60 frames, the first of them {path}#t=0,2, in 3 shards; nothing was written\n", ""
    )  # fmt: skip
    code, output, errors = said(*words, "--shard-seconds", 2, "--limit", 2)
    assert (code, errors) == (0, "")
    assert output.startswith("40 frames, ")
    assert "frames a second" in output
    assert said("bulk", "status", out)[1].startswith("40 of 40 frames, 2 of 2 parts\n")
    assert said("bulk", "verify", out) == (0, "2 ranges are in 2 whole parts, each once; faults: 0\n", "")
    code, _, errors = said(*words, "--limit", 2)
    assert (code, "shard_seconds was 2.0, and is 60.0" in errors) == (2, True)
    assert said("bulk", "merge", out, "--to", tmp_path / "to") == (0, f"written: 1 files in {tmp_path / 'to'}\n", "")
    assert json.loads((out / "_report.json").read_text())["frames"] == 40


@pytest.mark.slow
def test_a_real_clip_in_shards_has_the_ids_of_the_uncut_one(real_data: Path, tmp_path: Path):
    path, out = real_data / "clips/mot/TUD-Campus/TUD-Campus.mp4", tmp_path / "out"
    nets = replace(network(tmp_path / "nets"), detector=None, min_person_score=0.0)
    settings = Settings(nets, videos=OfVideos(shard_seconds=1.5, run_up=1.5))
    run_bulk([str(path)], str(out), settings, LocalEngine(1, 1))
    whole = rows_of([poses for _, poses in nets.open(1).stream(path)])
    [rows] = merged(out, tmp_path / "merged")
    assert len(rows) == 71
    assert rows == whole


def test_bytes_of_a_part_are_whole_files_of_the_format(tmp_path: Path):
    from lightpose.formats.parquet import encode_frames

    poses = next(network(tmp_path / "nets").open(1).stream(clip(tmp_path / "a.mp4", 1.0)))[1]
    content = encode_frames([poses], {"run": "x"})
    table = pq.read_table(io.BytesIO(content))
    assert json.loads(table.schema.metadata[b"lightpose"])["run"] == "x"
    (tmp_path / "a.parquet").write_bytes(content)
    [back] = lightpose.read(tmp_path / "a.parquet")
    assert rows_of([back]) == rows_of([poses])
