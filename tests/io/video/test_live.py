"""Addresses: a real server on loopback that serves a recording or a camera's MJPEG, and cuts it on command."""

import threading
import time
from collections.abc import Generator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from lightpose.errors import ImageError, MissingPackageError
from lightpose.io.images import encode_image
from lightpose.io.video import Timing, read_video
from lightpose.io.video.live import Reconnecting
from lightpose.io.video.reader import Video
from lightpose.io.video.shots import About, Shot
from tests.io.video.clips import content, number_of, write_clip


class Server(ThreadingHTTPServer):
    """Serves bytes as /clip.mp4, at most `most` of them at once, and /camera, which stops after `frames` images."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.clip, self.most, self.frames, self.visits, self.pause_s = b"", 10**9, 20, 0, 0.02
        self.open = True

    def address(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""

    def do_GET(self) -> None:
        self.server.visits += 1
        if not self.server.open:
            self.send_error(503)
        elif self.path == "/clip.mp4":
            self.send_clip()
        else:
            self.send_camera()

    def send_clip(self) -> None:
        whole = self.server.clip
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Content-Type", "video/mp4")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Range", f"bytes {start}-{len(whole) - 1}/{len(whole)}")
        self.send_header("Content-Length", str(len(whole) - start))
        self.end_headers()
        self.wfile.write(whole[start : start + self.server.most])

    def send_camera(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=edge")
        self.end_headers()
        for number in range(self.server.frames):
            image = encode_image(content(number), ".jpg")
            head = f"--edge\r\nContent-Type: image/jpeg\r\nContent-Length: {len(image)}\r\n\r\n"
            self.wfile.write(head.encode() + image + b"\r\n")
            self.wfile.flush()
            time.sleep(self.server.pause_s)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield server
        server.shutdown()


def test_a_recording_at_an_address_gives_all_its_frames(server: Server, tmp_path: Path):
    server.clip = write_clip(tmp_path / "a.mp4", container={"movflags": "faststart"}).read_bytes()
    video = read_video(server.address("clip.mp4"))
    frames = list(video)
    assert not video.live
    assert [number_of(frame.image) for frame in frames] == list(range(30))
    assert [frame.time_s for frame in frames] == pytest.approx([n / 30 for n in range(30)], abs=1e-3)
    assert video.lost == []


@pytest.mark.slow
def test_a_recording_that_breaks_off_goes_on_where_it_was(server: Server, tmp_path: Path):
    times = [n / 30 for n in range(60)]
    server.clip = write_clip(tmp_path / "a.mp4", times, container={"movflags": "faststart"}).read_bytes()
    server.most = len(server.clip) * 6 // 10
    video = read_video(server.address("clip.mp4"), give_up_s=5)
    frames = iter(video)
    seen = [number_of(next(frames).image)]
    server.most = 10**9
    seen += [number_of(frame.image) for frame in frames]
    assert seen == list(range(60))
    assert server.visits > 1


@pytest.mark.slow
def test_a_camera_that_breaks_off_is_opened_anew_and_its_time_goes_on(server: Server):
    video = read_video(server.address("camera"), give_up_s=1.0)
    assert video.live
    frames, begun_s = [], time.monotonic()
    for frame in video:
        frames.append(frame)
        server.open = server.visits < 3
    times = np.array([frame.time_s for frame in frames])
    assert (np.diff(times) > 0).all()
    assert len(frames) + video.dropped > 25, "more than one connection gave"
    assert times[-1] < time.monotonic() - begun_s + 2
    assert any("broke off" in note for note in video.notes)
    assert "nothing came after" in video.lost[-1]
    assert "for 1 s" in video.lost[-1]


@pytest.mark.slow
def test_a_live_source_gives_the_newest_frame(server: Server):
    server.frames = 60
    video = read_video(server.address("camera"), give_up_s=0.5)
    indices = []
    for frame in video:
        indices.append(frame.index)
        time.sleep(0.1)
        server.open = False
    assert video.dropped > 10
    assert np.diff(indices).max() > 2


def test_a_recording_that_nobody_wants_any_more_is_not_tried_again():
    class Breaking:
        about, lost = About(duration_s=60.0), ("it broke off",)
        closed = 0

        def shots(self) -> Generator[Shot]:
            yield Shot(0.0, lambda: content(0))

        def close(self) -> None:
            Breaking.closed += 1

    readers = [Breaking()]

    def make() -> Breaking:
        if not readers:
            raise ImageError("it is gone")
        return readers.pop()

    frames = iter(Video(Reconnecting(make, 30.0), Timing(), "stream"))
    next(frames)
    begun_s = time.monotonic()
    frames.close()
    assert time.monotonic() - begun_s < 10
    assert Breaking.closed >= 1


def test_an_address_that_nobody_answers_is_told(server: Server):
    server.open = False
    with pytest.raises(ImageError, match=r"cannot read http://127.0.0.1"):
        read_video(server.address("clip.mp4"))


def test_an_address_needs_pyav(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'lightpose\[video\]'"):
        read_video("http://127.0.0.1:9/clip.mp4")


def test_a_list_at_an_address_opens_no_file(server: Server, tmp_path: Path):
    clip = write_clip(tmp_path / "a.ts")
    server.clip = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{clip}\n#EXT-X-ENDLIST\n".encode()
    with pytest.raises(ImageError, match="cannot read"):
        list(read_video(server.address("clip.mp4"), give_up_s=0.3))
