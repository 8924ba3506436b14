"""Videos written: times, sound in step, sizes, and what a kill leaves."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from lightpose.errors import ImageError
from lightpose.io.video import video_writer
from lightpose.io.video.writer import _Vp8
from tests.io.video.clips import HW, av, click_of, content, images_of, number_of, times_of, write_clip

STAMPS = (0.0, 0.033, 0.066, 0.2, 0.233, 0.5)


def test_frames_come_back_at_their_times(tmp_path: Path):
    writer = video_writer(tmp_path / "a.mp4", HW, 30)
    for number, time_s in enumerate(STAMPS):
        writer.write(content(number), time_s)
    writer.close()
    assert times_of(tmp_path / "a.mp4") == pytest.approx(STAMPS, abs=1e-4)
    assert [number_of(image) for image in images_of(tmp_path / "a.mp4")] == list(range(6))


def test_the_video_is_of_the_kind_that_browsers_play(tmp_path: Path):
    writer = video_writer(tmp_path / "a.mp4", (47, 63), 30)
    writer.write(content(0, (47, 63)), 0)
    writer.close()
    with av.open(tmp_path / "a.mp4") as source:
        codec = source.streams.video[0].codec_context
        assert (codec.name, codec.pix_fmt, codec.height, codec.width) == ("h264", "yuv420p", 48, 64)
    head = (tmp_path / "a.mp4").read_bytes()
    assert head[4:8] == b"ftyp"
    assert b"moof" not in head, "a closed file is plain, not in fragments"


@pytest.mark.parametrize(("sound", "suffix"), [("aac", ".mp4"), ("pcm_s16le", ".mkv"), ("libopus", ".mkv")])
def test_sound_stays_in_step(tmp_path: Path, sound: str, suffix: str):
    times = [n / 30 for n in range(60)]
    source = write_clip(tmp_path / f"a{suffix}", times, click_s=1.2, sound=sound)
    for start_s in (0.0, 0.5):
        writer = video_writer(tmp_path / "b.mp4", HW, 30, source, start_s)
        for number, time_s in enumerate(times):
            if time_s >= start_s:
                writer.write(content(number), time_s - start_s)
        writer.close()
        heard_s = click_of(tmp_path / "b.mp4")
        assert heard_s == pytest.approx(click_of(source) - start_s, abs=0.02)
        assert heard_s == pytest.approx(1.2 - start_s, abs=0.02)
        assert len(times_of(tmp_path / "b.mp4")) == sum(time_s >= start_s for time_s in times)


def test_images_of_another_size_are_fitted_into_the_first_ones(tmp_path: Path):
    writer = video_writer(tmp_path / "a.mp4", HW, 30)
    for number, hw in enumerate([HW, (96, 64), (24, 32)]):
        writer.write(np.full((*hw, 3), 200, np.uint8), number / 30)
    writer.close()
    first, tall, small = images_of(tmp_path / "a.mp4")
    assert first.shape == tall.shape == small.shape == (*HW, 3)
    assert np.median(tall[:, 24:40]) == pytest.approx(200, abs=6)
    assert np.median(tall[:, :12]) == pytest.approx(0, abs=6)
    assert np.median(small) == pytest.approx(200, abs=6)


def test_what_a_kill_leaves_can_be_played_to_the_last_second(tmp_path: Path):
    code = (
        "import os, sys; from pathlib import Path; from lightpose.io.video import video_writer;"
        "from tests.io.video.clips import content, HW\n"
        "writer = video_writer(Path('a.mp4'), HW, 30)\n"
        "for n in range(200): writer.write(content(n % 60), n / 30)\n"
        "os.kill(os.getpid(), 9)"
    )
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=False)
    assert len(times_of(tmp_path / "a.mp4")) >= 150
    capture = cv2.VideoCapture(str(tmp_path / "a.mp4"))
    assert capture.read()[0]
    capture.release()


def test_without_pyav_it_is_vp8_in_webm(tmp_path: Path):
    writer = _Vp8(tmp_path / "a.webm", (47, 63), 30)
    for number in range(5):
        writer.write(content(number, (47, 63)), number / 30)
    writer.close()
    with av.open(tmp_path / "a.webm") as source:
        assert source.streams.video[0].codec_context.name in ("vp8", "libvpx")
        assert len(list(source.decode(video=0))) == 5


def test_sound_at_a_rate_that_aac_has_not_is_resampled(tmp_path: Path):
    source = tmp_path / "a.mkv"
    with av.open(source, "w") as out:
        track = out.add_stream("pcm_s16le", rate=192_000, layout="mono")
        for start in range(0, 192_000, 4096):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts = 192_000, start
            out.mux(track.encode(frame))
        out.mux(track.encode(None))
    writer = video_writer(tmp_path / "b.mp4", HW, 30, sound=source)
    for number in range(30):
        writer.write(content(number), number / 30)
    writer.close()
    with av.open(tmp_path / "b.mp4") as written:
        assert written.streams.audio[0].codec_context.sample_rate == 48_000
        assert sum(1 for _ in written.decode(video=0)) == 30


def test_a_frame_too_large_for_h264_is_refused_in_a_sentence(tmp_path: Path):
    with pytest.raises(ImageError, match="at most 16,384; use --no-draw"):
        video_writer(tmp_path / "a.mp4", (48, 20_000), 30)
