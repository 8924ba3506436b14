"""Videos read: times, turns, what is damaged, and what is no video."""

import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from lightpose.errors import ConfigError, ImageError
from lightpose.io.images import encode_image
from lightpose.io.video import Timing, read_video, source_kind
from lightpose.io.video.opencv import CvReader, Webcam
from lightpose.io.video.reader import Video
from lightpose.io.video.timing import Clock
from tests.io.video.clips import HW, av, cut, damage, number_of, turn, write_click, write_clip

STAMPS = (0.0, 0.033, 0.066, 0.2, 0.233, 0.5)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".ts", ".avi"])
def test_a_video_gives_its_frames_in_order_with_times(tmp_path: Path, suffix: str):
    path = write_clip(tmp_path / f"a{suffix}")
    frames = list(read_video(path))
    assert [frame.index for frame in frames] == list(range(30))
    assert [number_of(frame.image) for frame in frames] == list(range(30))
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(30) / 30, atol=1e-3)
    assert {(frame.name, frame.path, frame.image.shape) for frame in frames} == {(path.name, path, (*HW, 3))}


@pytest.mark.parametrize("reader", ["pyav", "opencv"])
def test_times_are_the_stamps_of_the_container(tmp_path: Path, reader: str):
    path = write_clip(tmp_path / "a.mp4", STAMPS)
    video = read_video(path) if reader == "pyav" else Video(CvReader(path), Timing(), path.name, path)
    assert [frame.time_s for frame in video] == pytest.approx(STAMPS, abs=5e-4)


def test_from_to_every_and_slowmo_choose_frames_and_change_times(tmp_path: Path):
    path = write_clip(tmp_path / "a.mp4")
    frames = list(read_video(path, Timing(start_s=0.2, end_s=0.5, every=2, slowmo=4)))
    assert [frame.index for frame in frames] == [6, 8, 10, 12, 14]
    assert [frame.time_s for frame in frames] == pytest.approx([n / 30 / 4 for n in (6, 8, 10, 12, 14)])
    assert read_video(path, Timing(start_s=0.2, end_s=0.5, every=2)).expected() == pytest.approx(5, abs=1)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"start_s": -1}, "--from must be"),
        ({"start_s": 2, "end_s": 1}, "--to must be later"),
        ({"every": 0}, "--every must be 1"),
        ({"slowmo": 0}, "--slowmo must be above 0"),
    ],
)
def test_times_that_cannot_be_are_refused(given: dict[str, float], text: str):
    with pytest.raises(ConfigError, match=text):
        Timing(**given)


@pytest.mark.parametrize(
    ("matrix", "turned"),
    [
        ((1, 0, 0, 1), lambda image: image),
        ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),  # a phone held upright: a quarter clockwise
        ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
        ((0, -1, 1, 0), lambda image: np.rot90(image, 1)),
        ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
    ],
)
def test_rotation_marks_are_applied(tmp_path: Path, matrix: tuple[int, int, int, int], turned):
    plain = next(iter(read_video(write_clip(tmp_path / "a.mp4", make=corners))))
    frame = next(iter(read_video(turn(write_clip(tmp_path / "b.mp4", make=corners), *matrix))))
    np.testing.assert_array_equal(frame.image, turned(plain.image))


def corners(_: int) -> np.ndarray:
    image = np.zeros((*HW, 3), np.uint8)
    image[:16, :16], image[:16, -16:], image[-16:, :16] = 250, 170, 90
    return image


def test_a_cut_file_gives_what_is_there_and_says_from_which_second_on_the_rest_is_lost(tmp_path: Path):
    for suffix, container in ((".mp4", {"movflags": "faststart"}), (".mkv", {})):
        video = read_video(cut(write_clip(tmp_path / f"a{suffix}", container=container)))
        frames = list(video)
        assert 10 < len(frames) < 25
        last_s = frames[-1].time_s or 0.0
        assert f"it is cut short: of its 1.00 s, nothing after {last_s:.2f} s" in video.lost[-1]


def test_after_damage_pyav_goes_on_and_opencv_stops(tmp_path: Path):
    path = damage(write_clip(tmp_path / "a.mp4", [n / 30 for n in range(60)], container={"movflags": "faststart"}))
    video = read_video(path)
    frames = list(video)
    assert 50 < len(frames) <= 60
    assert number_of(frames[-1].image) == 59
    assert len(video.lost) == 1
    assert video.lost[0].startswith("it is damaged")
    fallback = Video(CvReader(path), Timing(), path.name, path)
    assert len(list(fallback)) < 45
    assert "OpenCV decodes nothing after" in fallback.lost[0]


def test_a_whole_file_loses_nothing(tmp_path: Path):
    for name in ("a.mp4", "a.mkv", "a.ts", "a.avi"):
        video = read_video(write_clip(tmp_path / name, STAMPS if name != "a.avi" else [n / 30 for n in range(9)]))
        list(video)
        assert (video.lost, video.notes) == ([], [])


def test_sound_alone_is_no_video(tmp_path: Path):
    with av.open(tmp_path / "a.mp4", "w") as out:
        write_click(out, out.add_stream("aac", rate=48_000, layout="mono"), 0.1, 0.5)
    with pytest.raises(ImageError, match="has no video track, only sound"):
        read_video(tmp_path / "a.mp4")


def test_a_file_without_any_track_is_no_video(tmp_path: Path):
    with av.open(tmp_path / "a.mp4", "w") as out:
        out.add_stream("libx264", rate=30)
        out.start_encoding()
    with pytest.raises(ImageError, match="has no video track; name a video"):
        read_video(tmp_path / "a.mp4")


def test_a_file_of_ten_bits_and_hevc_is_read(tmp_path: Path):
    path = write_clip(
        tmp_path / "a.mp4", codec="libx265", pix_fmt="yuv420p10le", options={"x265-params": "log-level=0", "crf": "4"}
    )
    frames = list(read_video(path))
    assert [number_of(frame.image) for frame in frames] == list(range(30))
    assert frames[0].image.dtype == np.uint8


def test_a_size_that_changes_in_mid_stream_is_followed_and_noted(tmp_path: Path):
    first = write_clip(tmp_path / "a.ts", [n / 30 for n in range(10)])
    second = write_clip(tmp_path / "b.ts", [(10 + n) / 30 for n in range(10)], hw=(96, 80))
    (tmp_path / "c.ts").write_bytes(first.read_bytes() + second.read_bytes())
    video = read_video(tmp_path / "c.ts")
    shapes = [frame.image.shape[:2] for frame in video]
    assert shapes == [HW] * 10 + [(96, 80)] * 10
    assert "the size of the image changes: 64x48 from 0.00 s, 80x96 from" in video.notes[0]


def test_stamps_that_jump_back_go_on_and_are_noted(tmp_path: Path):
    once = write_clip(tmp_path / "a.ts", [n / 30 for n in range(10)]).read_bytes()
    (tmp_path / "b.ts").write_bytes(once + once)
    video = read_video(tmp_path / "b.ts")
    times = np.array([frame.time_s for frame in video])
    assert len(times) == 20
    assert (np.diff(times) > 0).all()
    assert times[-1] < 1
    assert "time stamps jump" in video.notes[0]


def test_missing_stamps_are_filled_by_the_frame_rate():
    clock = Clock(0.04)
    assert [clock.tell(stamp) for stamp in (None, None, 0.2, None, 0.1, 0.14)] == pytest.approx(
        [0, 0.04, 0.2, 0.24, 0.28, 0.32]
    )
    assert [fault.split(";")[0] for fault in clock.faults] == [
        "3 frames have no time stamp",
        "time stamps jump 1 times, first at 0.24 s",
    ]


def test_what_a_source_is_its_content_tells(tmp_path: Path):
    clip = write_clip(tmp_path / "a.mp4")
    (tmp_path / "clip.jpg").write_bytes(clip.read_bytes())
    (tmp_path / "image.mp4").write_bytes(encode_image(np.zeros((9, 9, 3), np.uint8), ".png"))
    (tmp_path / "free.txt").write_text("The freedom of a text.")
    kinds = {name: source_kind(str(tmp_path / name)) for name in ("a.mp4", "clip.jpg", "image.mp4", "free.txt", "no")}
    assert kinds == {"a.mp4": "file", "clip.jpg": "file", "image.mp4": None, "free.txt": None, "no": None}
    assert source_kind("webcam:0") == "webcam"
    assert source_kind("rtsp://camera/1") == "address"
    assert source_kind("https://a.b/c.mp4") == "address"
    assert source_kind("file:///etc/passwd") is None
    assert len(list(read_video(tmp_path / "clip.jpg"))) == 30


def test_what_is_no_video_is_refused_in_a_sentence(tmp_path: Path):
    (tmp_path / "a.mp4").write_bytes(b"nothing at all")
    (tmp_path / "b.txt").write_bytes(b"nothing at all")
    with pytest.raises(ImageError, match=r"cannot read .*a.mp4: it is cut short, damaged or no video"):
        read_video(tmp_path / "a.mp4")
    with pytest.raises(ImageError, match=r"b.txt is no video"):
        read_video(tmp_path / "b.txt")
    with pytest.raises(ImageError, match="there is no such file"):
        read_video(tmp_path / "c.mp4")


def test_a_list_of_files_opens_none_of_them(tmp_path: Path):
    clip = write_clip(tmp_path / "a.ts")
    for name in ("list.m3u8", "list.mp4"):
        (tmp_path / name).write_text(f"#EXTM3U\n#EXTINF:1,\n{clip}\n#EXT-X-ENDLIST\n")
        with pytest.raises(ImageError, match=r"no video"):
            read_video(tmp_path / name)
    (tmp_path / "concat.mp4").write_text(f"ffconcat version 1.0\nfile '{clip}'\n")
    with pytest.raises(ImageError, match="no video"):
        read_video(tmp_path / "concat.mp4")


def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path: Path):
    with pytest.raises(ImageError, match=r"has 64 x 48 pixels, more than the 3,000"):
        read_video(write_clip(tmp_path / "a.mp4"), max_pixels=3000)


def test_a_folder_of_numbered_images_is_a_video_of_so_many_frames_a_second(tmp_path: Path):
    for number in (1, 2, 9, 10, 11):
        (tmp_path / f"f{number}.png").write_bytes(encode_image(np.full((8, 8, 3), number, np.uint8), ".png"))
    (tmp_path / "f12.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    video = read_video(tmp_path, fps=10)
    frames = list(video)
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [1, 2, 9, 10, 11]
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert "frame 5 at 0.50 s" in video.lost[0]
    with pytest.raises(ConfigError, match="--fps is for a folder"):
        read_video(tmp_path / "f1.png", fps=10)


def test_a_broken_image_of_a_folder_leaves_its_place_and_folders_below_do_not_count(tmp_path: Path):
    for number in range(5):
        (tmp_path / f"f{number}.png").write_bytes(encode_image(np.full((8, 8, 3), number, np.uint8), ".png"))
    (tmp_path / "f1.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "f9.png").write_bytes((tmp_path / "f0.png").read_bytes())
    assert [(each.index, each.time_s) for each in read_video(tmp_path, fps=10)] == [
        (0, 0),
        (2, 0.2),
        (3, 0.3),
        (4, 0.4),
    ]
    assert [each.index for each in read_video(tmp_path, Timing(every=2), fps=10)] == [0, 2, 4]
    video = read_video(tmp_path, fps=10, max_pixels=10)
    assert list(video) == []
    assert len(video.lost) == 5
    with pytest.raises(ImageError, match="in folders below it alone"):
        read_video(tmp_path.parent, fps=10)


def test_a_range_is_numbered_alike_when_it_is_read_again(tmp_path: Path):
    path = write_clip(tmp_path / "a.mp4")
    video = Video(CvReader(path), Timing(), "a", path, make=lambda: CvReader(path), first=6)
    assert [each.index for each in video.again()][:2] == [each.index for each in video][:2] == [6, 7]


def test_a_webcam_can_be_stopped_while_it_reads(tmp_path: Path):
    """In a process of its own: OpenCV ends the process if a camera is released in the middle of a frame."""
    path = write_clip(tmp_path / "a.mp4")
    code = f"""
from lightpose.io.video.opencv import Webcam
from lightpose.io.video.reader import Video
from lightpose.io.video.timing import Timing
for _ in range(40):
    frames = iter(Video(Webcam(0, {str(path)!r}), Timing(), "webcam0", live=True))
    next(frames)
    frames.close()
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def test_a_live_source_takes_every_nth_of_its_frames(tmp_path: Path):
    path = write_clip(tmp_path / "a.mp4", [n / 30 for n in range(30)])
    video = Video(Webcam(0, str(path)), Timing(every=5), "webcam0", live=True)
    seen: list[int] = []
    with pytest.raises(ImageError, match="gives no more frames"):
        seen.extend(frame.index for frame in video)
    assert all(late - early >= 5 for early, late in pairwise(seen))


def test_a_video_is_let_go_when_nobody_wants_more_of_it(tmp_path: Path):
    path = write_clip(tmp_path / "a.mp4")
    descriptors = Path("/proc/self/fd")
    opened = len([*descriptors.iterdir()]) if descriptors.is_dir() else 0
    for _ in range(3):
        frames = iter(read_video(path))
        next(frames)
        frames.close()
    if opened:
        assert len([*descriptors.iterdir()]) <= opened


def test_a_webcam_drops_the_oldest_frames_while_nobody_looks(tmp_path: Path):
    """OpenCV's reader of files stands in for a camera, behind the same class."""
    path = write_clip(tmp_path / "a.mp4", [n / 30 for n in range(60)])
    video = Video(Webcam(0, str(path)), Timing(), "webcam0", live=True)
    seen: list[int] = []

    def look() -> None:
        for frame in video:
            seen.append(frame.index)
            time.sleep(0.05)

    with pytest.raises(ImageError, match="webcam:0 gives no more frames"):
        look()
    assert seen == sorted(seen)
    assert seen[-1] == 59
    assert len(seen) + video.dropped == 60
    assert video.dropped > 0


def test_a_camera_that_is_not_there_is_told():
    with pytest.raises(ImageError, match="cannot open webcam:99"):
        read_video("webcam:99")
