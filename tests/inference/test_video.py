"""A video from its file to lines and a drawn video; runs that are killed, interrupted, or out of disk."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

from lightpose import Boxes, Frame, PoseEstimator, Poses
from lightpose.cli import main
from lightpose.errors import ConfigError, ImageError
from lightpose.inference.look_ahead import FileSmoother
from lightpose.inference.schedule import DetectEvery
from lightpose.inference.select import Selection
from lightpose.inference.smooth import Smoother
from lightpose.inference.stages import LookAhead, Stage
from lightpose.inference.track import Tracker
from lightpose.inference.video import GROUP, LINES, STATE, VideoResults, predict_video
from lightpose.io.images import encode_image
from lightpose.io.video import Timing, read_video
from tests.detect.graphs import pose_network
from tests.io.video.clips import HW, click_of, cut, images_of, times_of, write_clip

STAMPS = (0.0, 0.033, 0.066, 0.2, 0.233, 0.5)
ROOT = Path(__file__).parents[2]


def two_people(_: np.ndarray) -> Boxes:
    return Boxes(np.array([[4, 4, 20, 40], [34, 4, 20, 40]], np.float32), np.array([0.9, 0.8], np.float32))


def one_or_two(image: np.ndarray) -> Boxes:
    """Two people, of whom one is missed in some images."""
    return two_people(image)[: 1 if np.median(image) % 9 < 2 else 2]


@pytest.fixture
def estimator(tmp_path: Path) -> PoseEstimator:
    return PoseEstimator(pose_network(tmp_path / "pose.onnx"), two_people, batch=4)


def rows_of(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / LINES).read_text().splitlines()]


def test_the_stamps_of_a_file_come_back_in_lines_and_drawing(estimator: PoseEstimator, tmp_path: Path):
    path, out = write_clip(tmp_path / "clip.mp4", STAMPS, click_s=0.3), tmp_path / "out"
    found = predict_video(read_video(path), estimator, out)
    assert (found.frames, found.people, found.lost, found.notes) == (6, 12, [], [])
    rows = rows_of(out)
    assert [row["time_s"] for row in rows] == pytest.approx(STAMPS, abs=5e-4)
    assert [(row["index"], row["image"], row["width"], len(row["people"])) for row in rows] == [
        (n, "clip.mp4", 64, 2) for n in range(6)
    ]
    assert times_of(out / "clip.mp4") == pytest.approx(STAMPS, abs=5e-4)
    assert click_of(out / "clip.mp4") == pytest.approx(0.3, abs=0.02)
    assert sorted(path.name for path in out.iterdir()) == [".lightpose.lock", "clip.mp4", LINES]


def test_lines_are_what_the_estimator_finds_in_each_frame(estimator: PoseEstimator, tmp_path: Path):
    path = write_clip(tmp_path / "clip.mp4")
    predict_video(read_video(path), estimator, tmp_path / "out", draw=False)
    for row, frame in zip(rows_of(tmp_path / "out"), read_video(path), strict=True):
        assert {person.pop("state") for person in row["people"]} == {"detected"}
        told = {"width": 64, "height": 48, "people": row["people"]}
        alone = estimator.predict(frame.image).to_dict()
        assert {key: alone[key] for key in told} == told


def test_a_part_in_slow_motion_is_drawn_as_the_file_plays_and_timed_as_it_was_filmed(
    estimator: PoseEstimator, tmp_path: Path
):
    path = write_clip(tmp_path / "clip.mp4")
    predict_video(read_video(path, Timing(0.2, 0.6, 2, 8)), estimator, tmp_path / "out")
    assert [row["time_s"] for row in rows_of(tmp_path / "out")] == pytest.approx([n / 240 for n in range(6, 18, 2)])
    assert times_of(tmp_path / "out/clip.mp4") == pytest.approx([n / 15 for n in range(6)], abs=1e-3)


def test_a_black_frame_and_odd_sides_are_no_fault(estimator: PoseEstimator, tmp_path: Path):
    path = write_clip(
        tmp_path / "clip.mkv", hw=(47, 63), make=lambda _: np.zeros((47, 63, 3), np.uint8), pix_fmt="yuv444p"
    )
    found = predict_video(read_video(path), estimator, tmp_path / "out")
    assert (found.frames, found.lost) == (30, [])
    assert {(row["height"], row["width"]) for row in rows_of(tmp_path / "out")} == {(47, 63)}
    assert images_of(tmp_path / "out/clip.mp4")[0].shape == (48, 64, 3)


def test_a_video_without_a_frame_is_refused(estimator: PoseEstimator, tmp_path: Path):
    path = write_clip(tmp_path / "clip.mp4")
    with pytest.raises(ImageError, match=r"no frame of .*clip.mp4 can be used"):
        predict_video(read_video(path, Timing(start_s=99)), estimator, tmp_path / "out")
    assert not (tmp_path / "out" / LINES).exists()


def test_a_video_is_never_written_over_itself(estimator: PoseEstimator, tmp_path: Path):
    path = write_clip(tmp_path / "clip.mp4")
    content = path.read_bytes()
    with pytest.raises(ConfigError, match="would overwrite"):
        predict_video(read_video(path), estimator, tmp_path)
    assert path.read_bytes() == content


def stopping(estimator: PoseEstimator, after: int) -> PoseEstimator:
    """The estimator, whose detector is interrupted after so many frames."""
    seen = iter(range(after))

    def detect(image: np.ndarray) -> Boxes:
        if next(seen, None) is None:
            raise KeyboardInterrupt
        return two_people(image)

    detect.__name__ = two_people.__name__  # by which a run is known
    return PoseEstimator(estimator.path, detect, batch=4)


STAGES: dict[str, Callable[[], list[Stage | LookAhead]]] = {
    "none": list,
    "tracked": lambda: [Tracker()],
    "one_euro": lambda: [Tracker(), Smoother()],
    "butterworth": lambda: [Tracker(), FileSmoother(), Selection("largest")],
    "filled": lambda: [Tracker(), FileSmoother(None, 0.3), Smoother()],
    "both": lambda: [Tracker(), FileSmoother(6, 0.3)],
}


@pytest.mark.parametrize("detect_every", [1, 5, "auto"])
@pytest.mark.parametrize("name", STAGES)
def test_an_interrupted_run_goes_on_from_its_lines_and_ends_as_an_unbroken_one(
    name: str, detect_every: DetectEvery, estimator: PoseEstimator, tmp_path: Path
):
    if detect_every != 1 and name != "both":
        pytest.skip("the schedule and the stages do not know of each other")
    more = {"draw": name in ("none", "both") and detect_every == 1, "detect_every": detect_every}
    estimator = PoseEstimator(estimator.path, one_or_two, batch=4)

    def run(out: Path, timing: Timing | None = None, stages: Callable = STAGES[name], **others: Any) -> VideoResults:
        return predict_video(read_video(path, timing), estimator, out, stages=stages(), **more, **others)

    def stop(frames: int, _: float) -> None:
        if frames >= 100:
            raise KeyboardInterrupt

    path = write_clip(tmp_path / "clip.mp4", [n / 30 for n in range(160)])
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run(whole)
    people = [person for row in rows_of(whole) for person in row["people"]]
    assert all("id" in person for person in people) == (name != "none")
    assert all("raw_keypoints" in person for person in people) == (name not in ("none", "tracked"))
    carried = {"carried"} if detect_every != 1 else set()
    filled = {"filled"} if name in ("filled", "both") and detect_every == 1 else set()
    assert {person["state"] for person in people} >= {"detected"} | carried | filled
    assert filled or all(person["state"] != "filled" for person in people) or detect_every != 1
    with pytest.raises(KeyboardInterrupt):
        run(broken, progress=stop)
    assert 100 <= len(rows_of(broken)) < 160
    refused = {"timing": Timing(every=2)}, {"stages": lambda: [Tracker(keep_lost_s=0.5)]}
    for other in refused:
        with pytest.raises(ConfigError, match="part of a run with another video or settings"):
            run(broken, **other)
    found = run(broken, resume=True)
    assert GROUP / 2 < found.resumed <= 2 * GROUP
    assert found.frames == 160
    assert (broken / LINES).read_bytes() == (whole / LINES).read_bytes()
    if more["draw"]:
        assert times_of(broken / "clip.mp4") == times_of(whole / "clip.mp4")
        for here, there in zip(images_of(broken / "clip.mp4"), images_of(whole / "clip.mp4"), strict=True):
            assert np.abs(here.astype(int) - there).mean() < 2, "x264 itself gives other bytes now and then"
    assert not (broken / STATE).exists()
    with pytest.raises(ConfigError, match="no interrupted run to go on with"):
        run(broken, resume=True)


def test_an_interrupted_run_over_a_folder_does_not_go_on_with_another_folder_of_that_name(
    estimator: PoseEstimator, tmp_path: Path
):
    for place, grey in (("a", 50), ("b", 90)):
        (tmp_path / place / "frames").mkdir(parents=True)
        for number in range(3 * GROUP):
            image = encode_image(np.full((48, 64, 3), grey + number % 9, np.uint8), ".png")
            (tmp_path / place / "frames" / f"f{number}.png").write_bytes(image)
    out = tmp_path / "out"

    def stop(frames: int, _: float) -> None:
        if frames >= 2 * GROUP:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_video(read_video(tmp_path / "a/frames", fps=10), estimator, out, progress=stop)
    for other, fps in (("b/frames", 10), ("a/frames", 25)):
        with pytest.raises(ConfigError, match="part of a run with another video or settings"):
            predict_video(read_video(tmp_path / other, fps=fps), estimator, out, resume=True)
    found = predict_video(read_video(tmp_path / "a/frames", fps=10), estimator, out, resume=True)
    assert found.resumed > 0


def test_a_run_whose_lines_were_damaged_begins_anew(estimator: PoseEstimator, tmp_path: Path):
    path = write_clip(tmp_path / "clip.mp4", [n / 30 for n in range(GROUP + 20)])
    predict_video(read_video(path), estimator, tmp_path / "whole", draw=False)
    for number, damage in enumerate((b"\xff", b"q")):  # no text; a key that is another
        broken = tmp_path / str(number)
        with pytest.raises(KeyboardInterrupt):
            predict_video(read_video(path), stopping(estimator, GROUP + 10), broken, draw=False)
        content = bytearray((broken / LINES).read_bytes())
        place = content.index(b'"people"') + 1
        content[place : place + 1] = damage
        (broken / LINES).write_bytes(content)
        assert predict_video(read_video(path), estimator, broken, draw=False).resumed == 0
        assert (broken / LINES).read_bytes() == (tmp_path / "whole" / LINES).read_bytes()


def command(*more: str, sources: tuple[str, ...] = ("clip.mp4",)) -> list[str]:
    options = ["--detector", "whole", "--model", "pose.onnx", "--out", "out", *more]
    return [sys.executable, "-m", "lightpose", "predict", *sources, *options]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a network and a video that takes a second or two."""
    pose_network(tmp_path / "pose.onnx")
    write_clip(tmp_path / "clip.mp4", [n / 30 for n in range(600)], click_s=2.0)
    return tmp_path


@pytest.mark.slow
def test_a_killed_run_leaves_whole_lines_and_ends_to_the_bit_as_an_unbroken_one(place: Path):
    subprocess.run(command(), cwd=place, env=environment(), check=True, capture_output=True)
    whole, times = (place / "out" / LINES).read_bytes(), times_of(place / "out/clip.mp4")
    generator, went_on = random.Random(0), 0
    for number in range(3):
        subprocess.run(["rm", "-r", "out"], cwd=place, check=True)
        process = subprocess.Popen(
            command(), cwd=place, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while not (place / "out" / (STATE if number else LINES)).exists() and process.poll() is None:
            time.sleep(0.005)
        time.sleep(generator.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
        lines = (place / "out" / LINES).read_bytes().split(b"\n")
        assert all(json.loads(line)["index"] == number for number, line in enumerate(lines[:-1]))
        done = subprocess.run(command(), cwd=place, env=environment(), check=True, capture_output=True, text=True)
        went_on += "were done already" in done.stdout
        assert (place / "out" / LINES).read_bytes() == whole
        assert times_of(place / "out/clip.mp4") == times
    assert went_on


@pytest.mark.slow
def test_ctrl_c_closes_the_files_and_ends_with_130(place: Path):
    process = subprocess.Popen(
        command(), cwd=place, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while not (place / "out" / STATE).exists() and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    if process.returncode == 0 and errors == "":
        pytest.skip("the run ended before the signal came")
    assert (process.returncode, errors) == (130, "lightpose: interrupted\n")
    assert len(rows_of(place / "out")) >= GROUP
    assert len(times_of(place / "out/clip.mp4")) == len(rows_of(place / "out"))


@pytest.mark.slow
def test_a_full_disk_leaves_whole_lines_and_ends_with_2(place: Path):
    limit = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000));"
    run = "import runpy; sys.argv = ['lightpose', *sys.argv[1:]]; runpy.run_module('lightpose', run_name='__main__')"
    for more in ((), ("--no-draw",)):
        arguments = [sys.executable, "-c", limit + run, *command(*more)[3:]]
        done = subprocess.run(arguments, cwd=place, env=environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert done.stderr.startswith("lightpose: cannot use ")
        assert done.stderr.count("\n") == 1
        content = (place / "out" / LINES).read_bytes()
        assert content.endswith(b"\n")
        assert [json.loads(line)["index"] for line in content.splitlines()] == list(range(content.count(b"\n")))
        subprocess.run(["rm", "-r", "out"], cwd=place, check=True)


@pytest.mark.slow
def test_what_was_lost_is_told_and_ends_with_1(place: Path):
    write_clip(place / "clip.mp4", container={"movflags": "faststart"})
    cut(place / "clip.mp4")
    done = subprocess.run(command(), cwd=place, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "clip.mp4: it is cut short: of its 1.00 s, nothing after 0." in done.stderr
    assert "frames: " in done.stdout
    assert len(rows_of(place / "out")) > 10


@pytest.mark.slow
def test_images_and_videos_go_together_and_several_videos_each_get_a_folder(place: Path):
    write_clip(place / "clip.mp4")
    write_clip(place / "clip.mkv")
    (place / "photo.png").write_bytes(encode_image(np.zeros((*HW, 3), np.uint8), ".png"))
    done = subprocess.run(
        command(sources=("clip.mp4", "clip.mkv", "photo.png")),
        cwd=place,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(rows_of(place / "out/clip")) == len(rows_of(place / "out/clip_2")) == 30
    assert (place / "out/photo.png").exists()
    assert (place / "out/poses.json").exists()


@pytest.mark.slow
def test_options_of_people_and_joints_do_what_they_say_and_others_are_refused(place: Path):
    def run(*more: str) -> subprocess.CompletedProcess[str]:
        settings = {"cwd": place, "env": environment(), "capture_output": True, "text": True, "check": False}
        return subprocess.run(command("--no-draw", *more), **settings)

    assert run("--person", "1", "--max-people", "2").returncode == 0
    assert {person["id"] for row in rows_of(place / "out") for person in row["people"]} == {1}
    for more in (
        ("--smooth", "one_euro", "--detect-every", "auto"),
        ("--smooth", "butterworth", "--smooth-hz", "3", "--fill", "0.3"),
    ):
        assert run(*more).returncode == 0
        people = [person for row in rows_of(place / "out") for person in row["people"]]
        assert all((person["raw_keypoints"] is None) == (person["state"] == "filled") for person in people)
        assert any(person["keypoints"] != person["raw_keypoints"] for person in people if person["raw_keypoints"])


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (("--person", "tall"), "--person must be largest, first or, with --track, a person's number"),
        (("--person", "1", "--no-track"), "--person must be largest, first or, with --track, a person's number"),
        (("--detect-every", "often"), "--detect-every must be a number of frames from 1, or auto, not often"),
        (
            ("--smooth", "one_euro", "--no-track"),
            "--smooth and --fill go by the numbers of people; leave out --no-track",
        ),
        (
            ("--smooth", "butterworth", "--every", "3"),
            "needs over 12 frames a second, clip.mp4 has 10; use --smooth one",
        ),
        (
            ("--smooth", "butterworth", "--every", "3", "--smooth-hz", "5"),
            "needs over 10 frames a second, clip.mp4 has 10; use --smooth one_euro, or a lower --smooth-hz",
        ),
        (("--smooth", "one_euro", "--smooth-hz", "5"), "--smooth-hz is of --smooth butterworth"),
        (("--smooth-hz", "0"), "--smooth-hz is of --smooth butterworth"),
        (("--smooth", "butterworth", "--smooth-hz", "0"), "hz must be from 1e-06 to"),
        (("--fill", "-1"), "fill_s must be from 0 to 60, not -1"),
    ],
)
def test_options_that_cannot_be_are_refused_in_a_sentence(
    more: tuple[str, ...], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    write_clip(tmp_path / "clip.mp4")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(command(*more)[3:])
    errors = capsys.readouterr().err
    assert (ended.value.code, errors.count("\n")) == (2, 1)
    assert text in errors
    assert not (tmp_path / "out").exists()


def test_a_video_is_streamed_with_ids_times_and_images(estimator: PoseEstimator, tmp_path: Path):
    path = write_clip(tmp_path / "clip.mp4", STAMPS)
    for source in (path, str(path), read_video(path)):
        found = list(estimator.stream(source))
        assert [frame.time_s for frame, _ in found] == pytest.approx(STAMPS, abs=5e-4)
        assert [(frame.image.shape, poses.ids.tolist()) for frame, poses in found] == [((*HW, 3), [1, 2])] * 6
        assert {state for _, poses in found for state in poses.states} == {"detected"}
    rows = rows_of(predict_video(read_video(path), estimator, tmp_path / "out", stages=[Tracker()]).files[0].parent)
    assert [poses.to_dict()["people"] for _, poses in found] == [row["people"] for row in rows]
    assert all(poses.ids is None for _, poses in estimator.stream(path, track=False))
    with pytest.raises(ImageError, match="there is no such file"):
        next(estimator.stream(tmp_path / "no.mp4"))


def test_streams_in_one_program_do_not_meet(estimator: PoseEstimator, tmp_path: Path):
    path = write_clip(tmp_path / "clip.mp4", STAMPS)
    alone = [poses.to_dict() for _, poses in estimator.stream(path, detect_every=3)]
    both = zip(estimator.stream(path, detect_every=3), estimator.stream(path, detect_every=3), strict=True)
    assert [(one.to_dict(), other.to_dict()) for (_, one), (_, other) in both] == [(each, each) for each in alone]


def test_the_detector_runs_in_one_of_so_many_frames(estimator: PoseEstimator, tmp_path: Path):
    path, ran = write_clip(tmp_path / "clip.mp4", [n / 30 for n in range(12)]), []

    def detect(image: np.ndarray) -> Boxes:
        ran.append(1)
        return two_people(image)

    counted = PoseEstimator(estimator.path, detect, batch=4)
    found = list(counted.stream(path, detect_every=5))
    assert len(ran) == 4, "the last frame has none after it to go by"
    states = [sorted(set(poses.states.tolist())) for _, poses in found]
    assert states == [["detected"] if n in (0, 5, 10, 11) else ["carried"] for n in range(12)]
    with pytest.raises(ConfigError, match="from 1, or auto"):
        next(counted.stream(path, detect_every=0))


def test_a_frame_that_cannot_be_used_is_told_and_the_next_one_is_detected_anew(estimator: PoseEstimator):
    def detect(image: np.ndarray) -> Boxes:
        if image[0, 0, 0] == 99:
            raise ImageError("it is broken")
        return two_people(image)

    frames = [Frame(np.full((*HW, 3), 99 if n == 3 else 0, np.uint8), index=n, time_s=n / 30) for n in range(6)]
    failed: list[int] = []
    strict = PoseEstimator(estimator.path, detect, batch=4, min_person_score=0.0)
    found = list(strict.stream(frames, lambda frame, _: failed.append(frame.index), detect_every=3))
    assert failed == [3]
    assert [frame.index for frame, _ in found] == [0, 1, 2, 4, 5]
    assert set(found[3][1].states) == {"detected"}
    with pytest.raises(ImageError, match="it is broken"):
        list(strict.stream(frames, detect_every=3))


def test_the_drawing_shows_the_smoothed_joints_of_the_same_frame(estimator: PoseEstimator, tmp_path: Path):
    path = write_clip(tmp_path / "clip.mp4", [n / 30 for n in range(70)])
    got: list[tuple[int, float, list]] = []

    class Told:
        def write(self, frame: Frame, poses: Poses) -> None:
            grey = int(np.median(frame.image))
            got.append((frame.index, grey, poses.to_dict()["people"]))

        def close(self) -> None:
            pass

    stages = [Tracker(), FileSmoother(6, 0.3)]
    predict_video(read_video(path), estimator, tmp_path / "out", draw=False, stages=stages, sinks=[Told()])
    rows = rows_of(tmp_path / "out")
    assert [people for *_, people in got] == [row["people"] for row in rows]
    assert [(index, grey) for index, grey, _ in got] == [
        (frame.index, int(np.median(frame.image))) for frame in read_video(path)
    ]
    assert any(person["keypoints"] != person["raw_keypoints"] for row in rows for person in row["people"])


def test_a_look_ahead_needs_a_source_that_can_be_read_again(estimator: PoseEstimator, tmp_path: Path):
    video = read_video(write_clip(tmp_path / "clip.mp4"))
    video._make = None  # as of a camera
    with pytest.raises(ConfigError, match=r"cannot be smoothed with a look ahead: .* use one_euro"):
        predict_video(video, estimator, tmp_path / "out", stages=[Tracker(), FileSmoother()])


def test_without_pyav_files_are_read_and_drawn_by_opencv(
    estimator: PoseEstimator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = write_clip(tmp_path / "clip.mp4", STAMPS)
    monkeypatch.setitem(sys.modules, "av", None)
    found = predict_video(read_video(path), estimator, tmp_path / "out")
    assert [file.name for file in found.files] == [LINES, "clip.webm"]
    assert [row["time_s"] for row in rows_of(tmp_path / "out")] == pytest.approx(STAMPS, abs=5e-4)
    monkeypatch.undo()
    assert len(images_of(tmp_path / "out/clip.webm")) == 6


def test_a_window_needs_an_opencv_that_has_windows(estimator: PoseEstimator, tmp_path: Path):
    import cv2

    if "GUI:                           NONE" not in cv2.getBuildInformation():
        pytest.skip("this OpenCV has windows")
    with pytest.raises(ConfigError, match="--show needs an OpenCV with windows"):
        predict_video(read_video(write_clip(tmp_path / "clip.mp4")), estimator, tmp_path / "out", show=True)
