"""Each format that is read and written gives back what it holds: hypothesis-made frames, written and read."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lightpose
from lightpose.formats import FORMATS, Options, format_named, frames_of, recognise, write
from lightpose.io.images import encode_image
from lightpose.ops.joints import missing
from lightpose.results import Poses, Tracks
from tests.formats.people import frames_of_poses, walkers


def few(count: int) -> settings:
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


SCORED = ["jsonl", "csv", "csv-wide", "parquet", "openpose", "openpose-zip", "coco-results", "mot-challenge", "dlc",
          "label-studio"]  # fmt: skip
ANNOTATED = ["coco", "cvat", "yolo-pose"]
PRECISION = {
    "jsonl": 0.0051, "csv": 6e-4, "csv-wide": 6e-4, "parquet": 0.008, "openpose": 1e-4, "openpose-zip": 1e-4,
    "coco": 0.0051, "coco-results": 1e-4, "yolo-pose": 0.001, "dlc": 1e-4, "cvat": 0.0051, "label-studio": 1e-3,
    "trc": 6e-4, "mot-challenge": 0.0051,
}  # fmt: skip
"""In pixels."""
MARKS = {"coco", "cvat", "yolo-pose"}
"""Formats that have no scores of joints, but hidden ones."""
SCORES = 2e-4


def round_trip(frames: list[Poses], name: str, folder: Path, fps: float | None = 25) -> list[Poses]:
    """The frames written and read, with the format told by the content."""
    kind = format_named(name)
    number = len([*folder.iterdir()])
    out = folder / (f"{number}" if kind.is_folder else f"{number}{kind.suffix}")
    write(frames, out, name)
    if name == "yolo-pose":
        for label in (out / "labels/train").iterdir():
            image = encode_image(np.zeros((480, 640, 3), np.uint8), ".png")
            (out / "images/train" / f"{label.stem}.png").write_bytes(image)
    assert recognise(out).name == {"csv-wide": "csv"}.get(name, name)
    return [*frames_of(out, None, Options(fps))]


def same(before: list[Poses], after: list[Poses], name: str) -> None:
    """Check all that the format does not say it lacks."""
    lacks = format_named(name).lacks
    if name in ("mot-challenge", "coco-results"):
        before = [poses for poses in before if len(poses)]  # they have no line for a frame without people
    assert [poses.frame for poses in after] == [poses.frame for poses in before]
    for a, b in zip(before, after, strict=True):
        assert len(a) == len(b)
        assert a.time_s is None or b.time_s == pytest.approx(a.time_s, abs=1e-6)
        if "joints" not in lacks:
            assert a.skeleton.joints == b.skeleton.joints
            assert (missing(a.keypoints) == missing(b.keypoints)).all()
            assert np.allclose(a.keypoints[..., :2], b.keypoints[..., :2], atol=PRECISION[name], equal_nan=True)
            if "joint scores" not in lacks or name in MARKS:
                assert np.allclose(a.keypoints[..., 2], b.keypoints[..., 2], atol=6e-4 if name == "parquet" else SCORES)
        if "ids" not in lacks and len(a):
            assert (a.ids is None) == (b.ids is None)
            assert a.ids is None or a.ids.tolist() == b.ids.tolist()
        if "states" not in lacks and len(a):
            assert a.states.tolist() == b.states.tolist()
        if "scores" not in lacks:
            assert np.allclose(a.scores, b.scores, atol=SCORES)
        if "boxes" not in lacks:
            assert np.allclose(a.boxes.xywh, b.boxes.xywh, atol=max(PRECISION[name], 1e-3))
        if "image sizes" not in lacks and name != "yolo-pose" and (len(a) or name != "label-studio"):
            assert a.image_hw == b.image_hw


@few(80)
@given(frames=frames_of_poses(), name=st.sampled_from(SCORED))
def test_what_has_scores_comes_back(frames: list[Poses], name: str, tmp_path: Path):
    kept = frames
    if name == "dlc" and not any(len(poses) for poses in frames):
        return
    if name == "dlc":
        order = Tracks.from_frames(frames)
        kept = [*order]  # a person has one place in all its rows
    same(kept, round_trip(frames, name, tmp_path), name)


@few(30)
@given(frames=frames_of_poses(marks=True), name=st.sampled_from(ANNOTATED))
def test_hidden_joints_come_back_from_annotation_tools(frames: list[Poses], name: str, tmp_path: Path):
    kept = frames
    if name == "cvat":
        kept = [*Tracks.from_frames(frames)]  # tracks are in the order in which people appear
    same(kept, round_trip(frames, name, tmp_path), name)


@few(20)
@given(frames=frames_of_poses(marks=True, video=False), name=st.sampled_from([*ANNOTATED, "label-studio"]))
def test_images_keep_their_names_and_no_ids(frames: list[Poses], name: str, tmp_path: Path):
    after = round_trip(frames, name, tmp_path, fps=None)
    assert [Path(poses.name).stem for poses in after] == [Path(poses.name).stem for poses in frames]
    assert all(poses.ids is None and poses.time_s is None for poses in after if len(poses))
    same(frames, after, name)


@few(10)
@given(frames=frames_of_poses())
def test_trc_gives_back_one_person(frames: list[Poses], tmp_path: Path):
    tracks = Tracks.from_frames(frames)
    for person in tracks.ids.tolist()[:1]:
        one = tracks.person(person)
        after = Tracks.from_frames(round_trip([*one], "trc", tmp_path))
        places = np.where(missing(one.keypoints)[..., None], np.nan, one.keypoints[..., :2])
        assert np.allclose(after.keypoints[..., :2], places, atol=PRECISION["trc"], equal_nan=True)
        assert np.allclose(after.time_s, one.time_s, atol=1e-6)


def test_every_format_that_is_both_is_tested_here():
    assert set(PRECISION) == {name for name, kind in FORMATS.items() if kind.reader and kind.writer}


def test_what_a_format_does_not_hold_is_one_sentence():
    assert FORMATS["jsonl"].limits() == ""
    assert FORMATS["csv"].limits() == "csv holds no boxes, image sizes, scores"
    assert FORMATS["csv"].limits(["boxes", "image sizes", "scores"]) == ""
    without = ["boxes", "ids", "image sizes", "joint scores", "raw joints", "scores"]
    assert FORMATS["trc"].limits(without) == "trc holds the one person who is in most frames, no states"


@pytest.mark.parametrize("name", ["jsonl", "csv", "parquet"])
def test_raw_joints_beside_smoothed_ones_come_back(name: str, tmp_path: Path):
    smooth = Tracks.from_frames(walkers()).fill(0.1).smooth(hz=5)
    write(smooth, tmp_path / f"a.{name}")
    after = lightpose.read(tmp_path / f"a.{name}")
    assert (after.state == smooth.state).all()
    assert set(after.state.ravel().tolist()) == {0, 1, 3}
    assert np.allclose(after.keypoints, smooth.keypoints, atol=0.009, equal_nan=True)
    assert np.allclose(after.raw[..., :2], smooth.raw[..., :2], atol=0.009, equal_nan=True)


@pytest.mark.parametrize("title", ['a, "b".mp4', "two\nlines.mp4", "Ünïcode ☃.mp4", "", "..", "a/b\\c.mp4"])
@pytest.mark.parametrize("name", [name for name in PRECISION if name != "trc"])
def test_odd_names_do_no_harm(title: str, name: str, tmp_path: Path):
    frames = [replace(poses, name=title) for poses in walkers(3)]
    (tmp_path / "in").mkdir()
    after = round_trip(frames, name, tmp_path / "in")
    assert len(after) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    if name in ("jsonl", "csv", "parquet", "coco", "label-studio"):
        assert after[0].name == title


@pytest.mark.parametrize("name", [name for name in PRECISION if name not in ("trc", "dlc")])
def test_files_without_people_and_with_one_frame_are_files(name: str, tmp_path: Path):
    nobody = walkers(1)[0][:0]
    assert [len(poses) for poses in round_trip([nobody], name, tmp_path)] in ([0], [])


@pytest.mark.parametrize("name", ["jsonl", "csv", "parquet", "openpose", "coco", "mot-challenge", "cvat", "dlc"])
def test_two_hundred_people_come_back(name: str, tmp_path: Path):
    one = walkers(2)[0][np.zeros(200, int)]
    away = np.arange(200)[:, None, None] * np.array([1, 1, 0], np.float32)
    many = replace(one, ids=np.arange(1, 201), keypoints=one.keypoints + away, scores=np.ones(200, np.float32))
    after = round_trip([many], name, tmp_path)
    assert after[0].ids.tolist() == many.ids.tolist()
    if name != "mot-challenge":
        assert np.allclose(after[0].keypoints[..., :2], many.keypoints[..., :2], atol=0.009)


def test_people_who_were_not_tracked_have_no_ids_again(tmp_path: Path):
    frames = [replace(poses, ids=None) for poses in walkers(3)]
    for name in ("jsonl", "csv", "csv-wide", "parquet", "openpose", "mot-challenge"):
        assert all(poses.ids is None for poses in round_trip(frames, name, tmp_path)), name
