"""Videos written as they come: H.264 with time stamps and sound through PyAV, or VP8 through OpenCV."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from lightpose.errors import ImageError, MissingPackageError
from lightpose.io.files import check_place
from lightpose.io.places import check_own
from lightpose.io.video.pyav import has_av, load_av, open_av, start_of
from lightpose.types import ImageArray

__all__ = ["VideoWriter", "suffix_written", "video_writer"]

_LONGEST_SIDE = 16_384
"""Of an H.264 image, in pixels."""
_TICKS = 90_000
"""Time stamps are whole numbers of this part of a second."""
_LOOK_AHEAD = "rc-lookahead=10:mbtree=1"
"""What the preset `superfast` leaves out: with it, files are as small as those of `veryfast` to within a tenth, and two
thirds of its work remain."""
_USUAL_HZ = 48_000
_IN_MP4 = frozenset({"aac", "mp3", "opus", "flac"})
"""Sound that browsers play in MP4: copied as it is. Other sound becomes AAC."""


class VideoWriter(Protocol):
    """Writes images of one size, each at its time. What is written can be played, whatever happens later."""

    def write(self, image: ImageArray, time_s: float) -> None:
        """Append an image (H, W, 3) uint8 RGB that is shown from `time_s` on, later than the last one."""

    def close(self) -> None:
        """Finish the file."""


def suffix_written() -> str:
    """What the name of a video ends with: .mp4, or .webm without PyAV."""
    return ".mp4" if has_av() else ".webm"


def video_writer(
    path: Path,
    hw: tuple[int, int],
    rate: float,
    sound: Path | None = None,
    sound_from_s: float = 0.0,
    aspect: tuple[int, int] = (1, 1),
) -> VideoWriter:
    """A writer into a new file; path as `suffix_written` says.

    hw: height and width of the images. rate: frames a second, about. sound: a video whose sound is taken over, from
    that second on. aspect: width of a pixel in heights. Raises MissingPackageError if no H.264 and no VP8 can be
    written.
    """
    check_place(path)
    check_own(path)
    return _H264(path, hw, rate, sound, sound_from_s, aspect) if has_av() else _Vp8(path, hw, rate)


class _H264:
    """MP4 in fragments of a second, each complete on the disk, which becomes a plain MP4 when it is closed."""

    def __init__(
        self, path: Path, hw: tuple[int, int], rate: float, sound: Path | None, sound_from_s: float,
        aspect: tuple[int, int],
    ) -> None:  # fmt: skip
        av = self._av = load_av()
        if max(hw) > _LONGEST_SIDE:
            raise ImageError(
                f"a frame of {hw[1]:,} x {hw[0]:,} pixels cannot be drawn, as the sides of H.264 are at most "
                f"{_LONGEST_SIDE:,}; use --no-draw"
            )
        movflags = {"movflags": "hybrid_fragmented+frag_keyframe", "flush_packets": "1"}
        self._path, self._hw = path, hw
        self._out = av.open(f"file:{path.absolute()}", "w", format="mp4", container_options=movflags)
        step = max(1, round(rate))
        options = {"preset": "superfast", "x264-params": _LOOK_AHEAD, "crf": "23", "bf": "0", "g": str(step)}
        self._stream = self._out.add_stream("libx264", rate=step, options=options)
        self._stream.height, self._stream.width = (side + side % 2 for side in hw)  # yuv420p has pairs of pixels
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, _TICKS)
        self._stream.codec_context.sample_aspect_ratio = Fraction(*aspect)
        self._sound = None if sound is None else _sound(av, sound, self._out, sound_from_s)
        self._last = -1

    def write(self, image: ImageArray, time_s: float) -> None:
        """See `VideoWriter`."""
        self._last = max(self._last + 1, round(time_s * _TICKS))
        planes = cv2.cvtColor(_even(_fitted(image, self._hw)), cv2.COLOR_RGB2YUV_I420)  # half the time of FFmpeg's way
        frame = self._av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts, frame.time_base = self._last, Fraction(1, _TICKS)
        self._mux(self._stream.encode(frame))
        if self._sound is not None:
            self._mux(self._sound.until(self._last / _TICKS))

    def close(self) -> None:
        """See `VideoWriter`."""
        try:
            if self._last >= 0:
                self._mux(self._stream.encode(None))
        finally:
            if self._sound is not None:
                self._sound.close()
            self._out.close()

    def _mux(self, packets: Any) -> None:
        try:
            for packet in packets:
                self._out.mux(packet)
        except OSError as error:
            error.filename = str(self._path)
            raise


def _sound(av: Any, path: Path, out: Any, from_s: float) -> _Sound | None:
    """The sound of a video; None if it cannot be decoded."""
    try:
        return _Sound(av, path, out, from_s)
    except (av.FFmpegError, ImageError):
        return None


def _can_be_copied(av: Any, path: Path) -> bool:
    """Whether an MP4 takes the sound of a file as it is: with damaged descriptions it fails at its very end.

    Raises ImageError if there is no sound in the track.
    """
    with open_av(path) as source:
        track = source.streams.best("audio") or source.streams.audio[0]
        packets = [packet for packet in islice(source.demux(track), 8) if packet.pts is not None]
        if not packets:
            raise ImageError(f"{path} has an empty track of sound")
        with suppress(av.FFmpegError):
            with av.open(io.BytesIO(), "w", format="mp4") as trial:
                stream = trial.add_stream_from_template(track)
                for packet in packets:
                    packet.stream = stream
                    trial.mux(packet)
            return True
    return False


class _Sound:
    """The first sound track of a video, as packets for another one, in step with its pictures."""

    def __init__(self, av: Any, path: Path, out: Any, from_s: float) -> None:
        self._av, self._out = av, out
        self._source = open_av(path)
        self._track = self._source.streams.best("audio") or self._source.streams.audio[0]
        if self._track.codec_context is None:
            self._source.close()
            raise ImageError(f"{path} has sound of a kind that cannot be decoded")
        self._zero_s = start_of(self._source) + from_s
        self._copied = _can_be_copied(av, path) and self._track.codec_context.name in _IN_MP4
        if self._copied:
            self._stream = out.add_stream_from_template(self._track)
        else:
            rate = self._track.codec_context.sample_rate
            rates = av.codec.Codec("aac", "w").audio_rates
            self._stream = out.add_stream("aac", rate=rate if rate in rates else _USUAL_HZ)
            self._stream.layout = "stereo" if self._track.codec_context.channels > 1 else "mono"
        if from_s > 0:
            self._source.seek(max(0, int(self._zero_s * av.time_base)))
        self._packets = self._copies() if self._copied else self._encoded()
        self._next: tuple[float, Any] | None = next(self._packets, None)

    def until(self, time_s: float) -> Iterator[Any]:
        """The packets that begin before that time."""
        while self._next is not None and self._next[0] < time_s:
            yield self._next[1]
            self._next = next(self._packets, None)

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _copies(self) -> Iterator[tuple[float, Any]]:
        for packet in self._read():
            shift = round(self._zero_s / packet.time_base)
            start_s = float((packet.pts - shift) * packet.time_base)
            if start_s < 0:  # before the first picture
                continue
            packet.pts -= shift
            packet.dts = packet.pts
            packet.stream = self._stream
            yield start_s, packet

    def _encoded(self) -> Iterator[tuple[float, Any]]:
        resampler, before = None, None
        for packet in self._read():
            frames = []
            with suppress(self._av.FFmpegError):
                for frame in packet.decode():
                    kind = (frame.format.name, frame.layout.name, frame.sample_rate)
                    if resampler is None or kind != before:  # it may change within a file
                        resampler = self._av.AudioResampler("fltp", self._stream.layout, self._stream.rate)
                    before = kind
                    frames += resampler.resample(frame)
            for frame in frames:
                if frame.pts is None:
                    continue
                start_s = float(frame.pts * frame.time_base) - self._zero_s
                if start_s >= 0:
                    frame.pts = round(start_s / frame.time_base)
                    yield from self._timed(self._stream.encode(frame))
        yield from self._timed(self._stream.encode(None))

    @staticmethod
    def _timed(packets: Any) -> Iterator[tuple[float, Any]]:
        """The packets with their times, without the encoder's run-up before the start."""
        return ((float(packet.pts * packet.time_base), packet) for packet in packets if packet.pts >= 0)

    def _read(self) -> Iterator[Any]:
        """The packets of the track that have a time, as far as they can be read."""
        packets = self._source.demux(self._track)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, self._av.FFmpegError):
                return
            if packet.pts is not None:
                yield packet


class _Vp8:
    """WebM through OpenCV, which knows no time stamps: each image is shown equally long. There is no sound.

    VP8, as OpenCV writes VP9 with settings that take three times as long.
    """

    def __init__(self, path: Path, hw: tuple[int, int], rate: float) -> None:
        self._hw = hw
        height, width = (side + side % 2 for side in hw)
        code = cv2.VideoWriter.fourcc(*"VP80")
        self._writer = cv2.VideoWriter(str(path.absolute()), cv2.CAP_FFMPEG, code, rate, (width, height))
        if not self._writer.isOpened():
            path.unlink(missing_ok=True)
            raise MissingPackageError("PyAV", "video")

    def write(self, image: ImageArray, time_s: float) -> None:  # noqa: ARG002
        """See `VideoWriter`; the time is passed over."""
        self._writer.write(cv2.cvtColor(_even(_fitted(image, self._hw)), cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """See `VideoWriter`."""
        self._writer.release()


def _fitted(image: ImageArray, hw: tuple[int, int]) -> ImageArray:
    """An image of another size scaled to fit, in the middle of black."""
    if image.shape[:2] == hw:
        return image
    scale = min(hw[0] / image.shape[0], hw[1] / image.shape[1])
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    top, left = (hw[0] - height) // 2, (hw[1] - width) // 2
    canvas = np.zeros((*hw, 3), np.uint8)
    canvas[top : top + height, left : left + width] = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return canvas


def _even(image: ImageArray) -> ImageArray:
    """An image of even height and width: the last row and column twice if need be."""
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        return np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(image)
