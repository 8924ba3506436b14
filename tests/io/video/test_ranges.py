"""Videos cut into ranges: each read alone gives the frames that the whole file has there, with their numbers."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from lightpose.errors import ImageError
from lightpose.io.video import cut_video, read_range, read_video
from tests.io.video.clips import av, cut, damage, write_click, write_clip

LONG = [number / 30 for number in range(90)]
UNEVEN = [*LONG[:40], *(stamp + 2.5 for stamp in LONG[40:])]


@pytest.mark.parametrize(
    ("suffix", "stamps", "options"),
    [
        (".mp4", LONG, {"g": "12", "bf": "2"}),
        (".mkv", LONG, {"g": "12", "bf": "2"}),
        (".ts", LONG, {"g": "12", "bf": "2"}),
        (".mov", UNEVEN, {"g": "90", "bf": "3"}),
        (".mkv", UNEVEN, {"g": "7"}),
        (".avi", LONG, {}),
    ],
)
def test_ranges_give_the_frames_of_the_whole_file_each_once(suffix: str, stamps: list[float], options: dict, tmp_path):
    path = write_clip(tmp_path / f"a{suffix}", stamps, options=options)
    whole = {frame.index: frame for frame in read_video(path)}
    ranges, found = cut_video(path, 0.5, 0.3), []
    for range_ in ranges:
        frames = list(read_range(path, range_, "a"))
        for frame in frames:
            assert frame.time_s == whole[frame.index].time_s
            np.testing.assert_array_equal(frame.image, whole[frame.index].image)
        own = [frame.index for frame in frames if range_.holds(frame.time_s)]
        first = whole[own[0]].time_s
        before = [n for n, frame in whole.items() if range_.start_s - 0.3 - 5e-4 < frame.time_s < first]
        assert [frame.index for frame in frames] == [*before, *own]
        assert len(own) == range_.frames
        found += own
    assert found == list(whole) == list(range(90))
    assert len(ranges) == (1 if suffix == ".avi" else 7 if stamps is UNEVEN else 6)


def test_ranges_without_frames_are_left_out_and_the_others_follow_each_other(tmp_path: Path):
    ranges = cut_video(write_clip(tmp_path / "a.mkv", UNEVEN), 0.5, 0.3)
    assert all(before.end_s <= after.start_s for before, after in pairwise(ranges))
    assert [range_.start_s for range_ in ranges] == [0.0, 0.5, 1.0, 3.5, 4.0, 4.5, 5.0]
    assert ranges[-1].end_s is None


@pytest.mark.parametrize("suffix", [".webm", ".h264"])
def test_a_file_whose_packets_tell_no_times_of_frames_is_one_range(suffix: str, tmp_path: Path):
    codec = {".webm": "libvpx", ".h264": "libx264"}[suffix]
    path = write_clip(
        tmp_path / f"a{suffix}", LONG, codec=codec, options={"auto-alt-ref": "1"} if codec[3] == "v" else {}
    )
    [range_] = cut_video(path, 0.5, 0.3)
    assert (range_.start_s, range_.end_s, range_.first) == (0.0, None, 0)
    numbers = [frame.index for frame in read_range(path, range_, "a")]
    assert numbers == list(range(len(list(read_video(path)))))


def test_damage_is_told_by_the_range_that_it_is_in_alone(tmp_path: Path):
    path = damage(write_clip(tmp_path / "a.mp4", LONG, container={"movflags": "faststart"}), 0.5)
    whole = read_video(path)
    list(whole)
    told = {}
    for range_ in cut_video(path, 0.5, 0.3):
        video = read_range(path, range_, "a")
        list(video)
        told[range_.start_s] = video.lost
    assert whole.lost[0].startswith("it is damaged")
    start_s, end_s = min(s for s, lost in told.items() if lost), max(s for s, lost in told.items() if lost) + 0.5
    named = [float(word) for word in whole.lost[0].split() if word.replace(".", "").isdecimal()]
    assert start_s <= named[0] <= named[-1] < end_s
    assert end_s - start_s <= 1.0


def test_the_last_range_of_a_file_that_was_cut_says_so(tmp_path: Path):
    path = cut(write_clip(tmp_path / "a.mkv", LONG))
    lost = []
    for range_ in cut_video(path, 0.5, 0.3):
        video = read_range(path, range_, "a")
        last_s = [frame.time_s for frame in video][-1]
        lost.append(video.lost)
    assert lost[:-1] == [[]] * (len(lost) - 1)
    assert f"it is cut short: of its 3.00 s, nothing after {last_s:.2f} s" in lost[-1][-1]


def test_a_file_without_frames_cannot_be_cut(tmp_path: Path):
    with av.open(tmp_path / "a.mp4", "w") as out:
        write_click(out, out.add_stream("aac", rate=48_000, layout="mono"), 0.1, 0.5)
    with pytest.raises(ImageError, match="has no video track, only sound"):
        cut_video(tmp_path / "a.mp4", 1.0, 1.0)
    path = write_clip(tmp_path / "b.mp4", container={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: path.read_bytes().index(b"mdat") - 4])
    with pytest.raises(ImageError, match="no frame of it can be read"):
        cut_video(path, 1.0, 1.0)
