"""Videos through PyAV: every container and codec of FFmpeg, time stamps as they are, and on past damage."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from io import BufferedReader, BytesIO
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from lightpose.errors import ImageError, MissingPackageError
from lightpose.io.images import max_pixels_allowed
from lightpose.io.video.kinds import DEMUXERS, STREAMS
from lightpose.io.video.shots import EARLY_S, About, Range, Shot
from lightpose.types import ImageArray

__all__ = ["AvReader", "Packet", "Source", "has_av", "load_av", "open_av", "start_of", "told"]

_MOST_ERRORS = 1000
"""Packets in a row that cannot be read; beyond, the rest of a file is lost."""
_TOGETHER_S = 1.0
"""Damage at less distance than this is told as one."""
_HIDDEN_FRAMES = frozenset({"vp8", "libvpx"})
"""Decoders of codecs that have packets of which no frame comes."""


Source = str | Path | BytesIO | BufferedReader
"""An address, a file, a clip in memory, or a file of which some other code reads the bytes."""


@dataclass(frozen=True)
class Packet:
    """A packet that was not decoded. stamp_s, decoded_s: when its frame is shown and decoded, None if it does not say.
    is_key: whether decoding can begin with it. is_shown: whether a frame comes of it."""

    stamp_s: float | None
    decoded_s: float | None
    is_key: bool
    is_shown: bool


def told(source: Source) -> str:
    """What errors call a source."""
    return "the clip" if isinstance(source, BytesIO | BufferedReader) else str(source)


def load_av() -> Any:
    """The package av. Raises MissingPackageError if it is not installed."""
    try:
        import av
    except ImportError as error:
        raise MissingPackageError("PyAV", "video") from error
    if av.logging.get_level() is None:  # what is wrong with a video we say ourselves
        av.logging.set_libav_level(av.logging.PANIC)
    return av


def has_av() -> bool:
    """Whether PyAV can be used."""
    try:
        load_av()
    except MissingPackageError:
        return False
    return True


def open_av(source: Source, timeout_s: float | None = None) -> Any:
    """A file (a Path), a clip in memory or an address (a text) as PyAV's container, from which no other file can be
    opened.

    Raises ImageError if it cannot be opened.
    """
    av = load_av()
    url: str | BytesIO | BufferedReader
    if isinstance(source, BytesIO | BufferedReader):
        url, options = source, {"protocol_whitelist": "none", "format_whitelist": DEMUXERS}
    elif isinstance(source, Path):
        url, options = f"file:{source.absolute()}", {"protocol_whitelist": "file", "format_whitelist": DEMUXERS}
    else:
        url = source
        options = {"protocol_whitelist": "http,https,tcp,tls,udp,rtp,rtsp,rtsps", "format_whitelist": STREAMS}
        if source.lower().startswith("rtsp"):
            options["rtsp_transport"] = "tcp"
    try:
        return av.open(url, options=options, timeout=timeout_s, metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        why = (
            "it is cut short, damaged or no video"
            if isinstance(error, ValueError | av.InvalidDataError)
            else _reason(error)
        )
        raise ImageError(f"cannot read {told(source)}: {why}") from error


def start_of(container: Any) -> float:
    """The stamp in seconds that a container begins with: the least of its pictures and sound."""
    tracks = [stream for stream in container.streams if stream.type in ("video", "audio")]
    starts = [stream.start_time * stream.time_base for stream in tracks if stream.start_time is not None]
    return float(min(starts, default=0))


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error).lower()


class AvReader:
    """Reads a file, a clip in memory or an address. timeout_s: of a network, until a read fails with ImageError.
    range_: of a file; decoding begins at the keyframe before it, and only damage within it is told. See `Reader`."""

    def __init__(
        self,
        source: Source,
        max_pixels: int | None = None,
        timeout_s: float | None = None,
        range_: Range | None = None,
    ) -> None:
        self._av = load_av()
        self._range = range_ or Range()
        self._limit = max_pixels_allowed(max_pixels)
        self._source, self._name = source, told(source)
        self._container = open_av(source, timeout_s)
        self._damage, self._short = _Damage(), list[str]()
        if not self._container.streams.video:
            tracks = _tracks(self._container)
            self._container.close()
            raise ImageError(f"{self._name} has no video track{tracks}; name a video")
        self._stream = self._container.streams.best("video") or self._container.streams.video[0]
        if self._stream.codec_context is None:
            self._container.close()
            raise ImageError(f"{self._name} has a video track of a kind that cannot be decoded; convert it to H.264")
        self._stream.thread_type = "SLICE"
        self._zero_s = start_of(self._container)
        self._is_avi = self._container.format.name == "avi"  # which has no times of showing
        self.about = self._look()
        self._check_size(self._stream.codec_context.width, self._stream.codec_context.height)

    @property
    def lost(self) -> list[str]:
        """What could not be decoded, up to where it was read."""
        return [*self._damage.told(self._range), *self._short]

    def packets(self) -> Iterator[Packet]:
        """All packets of the video track, in the order of decoding; nothing is decoded."""
        for packet in self._packets():
            if packet.size:
                yield Packet(
                    self._seconds(packet, packet.pts), self._seconds(packet, packet.dts), packet.is_keyframe,
                    not packet.is_discard,
                )  # fmt: skip

    @property
    def has_frame_times(self) -> bool:
        """Whether each packet is a frame, and says when it is shown."""
        return not self._is_avi and self._stream.codec_context.name not in _HIDDEN_FRAMES

    def shots(self) -> Generator[Shot]:
        """The frames that can be decoded; what cannot is noted in `lost`."""
        count, step_s = 0, 0.0
        last_s = self._damage.reached_s = self._range.seek_s or 0.0
        for packet in self._packets():
            for frame in self._decoded(packet):
                stamp = frame.dts if frame.pts is None or self._is_avi else frame.pts
                stamp_s = self._seconds(frame, stamp)
                if frame.is_corrupt:
                    self._damage.add(last_s if stamp_s is None else stamp_s)
                if stamp_s is not None:
                    step_s = max(step_s, stamp_s - last_s)
                    last_s = max(last_s, stamp_s)
                count += 1
                yield Shot(stamp_s, partial(self._image, frame))
        self._end(count, last_s, step_s)

    def close(self) -> None:
        """Close the container."""
        self._container.close()

    def _packets(self) -> Iterator[Any]:
        """The packets of the video track, as far as they can be had."""
        packets, errors = self._begun(), 0
        while errors < _MOST_ERRORS:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except self._av.InvalidDataError:
                errors += 1
                self._damage.add(self._damage.reached_s)
                packets = self._container.demux(self._stream)
            except (self._av.FFmpegError, OSError) as error:
                if not isinstance(self._source, str):
                    self._damage.add(self._damage.reached_s)
                    return
                raise ImageError(f"{self._source} broke off: {_reason(error)}") from error
            else:
                errors = 0
                yield packet

    def _begun(self) -> Iterator[Any]:
        """The packets from the keyframe before the range on, or all if the container does not find it."""
        if self._range.seek_s is None:
            return iter(self._container.demux(self._stream))
        place = round((self._range.seek_s + self._zero_s) / self._stream.time_base)
        with suppress(self._av.FFmpegError, OSError):
            self._container.seek(place, stream=self._stream)
            packets = iter(self._container.demux(self._stream))
            first = next(packets, None)
            if first is not None and first.is_keyframe:
                stamp_s = self._seconds(first, first.pts)
                if stamp_s is not None and stamp_s < self._range.from_s + EARLY_S:
                    return chain([first], packets)
        try:
            self._container.seek(0)
        except (self._av.FFmpegError, OSError) as error:
            raise ImageError(f"cannot read {self._name} from its start: {_reason(error)}") from error
        return iter(self._container.demux(self._stream))

    def _seconds(self, part: Any, stamp: int | None) -> float | None:
        """A stamp of a packet or a frame in seconds from the start."""
        return None if stamp is None else float(stamp * part.time_base) - self._zero_s

    def _decoded(self, packet: Any) -> list[Any]:
        """The frames that a packet completes; none where it is damaged."""
        time_s = self._seconds(packet, packet.pts)
        if time_s is not None:
            self._damage.reached_s = time_s
        if packet.is_corrupt:
            self._damage.add(self._damage.reached_s)
        try:
            return list(packet.decode())
        except self._av.FFmpegError as error:
            if isinstance(error, self._av.InvalidDataError | ValueError | self._av.EOFError | OSError):
                self._damage.add(self._damage.reached_s)
                return []
            raise ImageError(f"cannot decode {self._name}: {_reason(error)}") from error

    def _image(self, frame: Any) -> ImageArray:
        self._check_size(frame.width, frame.height)
        if frame.format.components[0].bits > 8:  # straight to RGB it comes out two levels too dark
            plain = frame.reformat(format="yuv444p")
        else:
            plain = frame
        pixels: ImageArray = plain.to_ndarray(format="rgb24")
        return _upright(pixels, frame)

    def _check_size(self, width: int, height: int) -> None:
        if width * height > self._limit:
            raise ImageError(
                f"{self._name} has {width:,} x {height:,} pixels, more than the {self._limit:,} that are decoded; "
                "if it can be trusted, raise the limit with --max-pixels"
            )

    def _look(self) -> About:
        stream, container = self._stream, self._container
        rate = stream.average_rate or stream.guessed_rate or stream.base_rate
        duration = stream.duration * stream.time_base if stream.duration else (container.duration or 0) / 1_000_000
        aspect = stream.codec_context.sample_aspect_ratio
        return About(
            float(rate) if rate and 0.01 < rate < 1000 else 30.0,
            stream.frames,
            float(duration) or None,
            bool(container.streams.audio),
            (aspect.numerator, aspect.denominator) if aspect else (1, 1),
        )

    def _end(self, count: int, last_s: float, step_s: float) -> None:
        """Note what is missing at the end by what the container says of its length."""
        said_s = self._said_length_s()
        step_s = step_s or 1 / self.about.rate
        short = count < self._stream.frames if self._stream.frames else True
        if said_s is not None and short and said_s - last_s > 1.5 * step_s + 0.02:
            self._short.append(f"it is cut short: of its {said_s:.2f} s, nothing after {last_s:.2f} s can be decoded")

    def _said_length_s(self) -> float | None:
        """How long the video track should be, if the file says so itself."""
        stream = self._stream
        if self._container.format.name.startswith("mov"):
            return float(stream.duration * stream.time_base) if stream.duration else None
        try:  # Matroska
            hours, minutes, seconds = stream.metadata["DURATION"].split(":")
            return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        except (KeyError, ValueError):
            return None


class _Damage:
    """Where a file was damaged, as ranges of seconds. reached_s: the time of the last packet."""

    def __init__(self) -> None:
        self.reached_s = 0.0
        self._ranges: list[list[float]] = []

    def add(self, time_s: float) -> None:
        """Note damage at that second."""
        if self._ranges and self._ranges[-1][0] - _TOGETHER_S <= time_s <= self._ranges[-1][1] + _TOGETHER_S:
            self._ranges[-1] = [min(self._ranges[-1][0], time_s), max(self._ranges[-1][1], time_s)]
        elif len(self._ranges) < _MOST_ERRORS:
            self._ranges.append([time_s, time_s])

    def told(self, range_: Range) -> list[str]:
        """A sentence for each stretch that is, at least in part, in a range."""
        end_s = np.inf if range_.end_s is None else range_.end_s
        within = [each for each in self._ranges if each[0] < end_s - EARLY_S and each[1] > range_.start_s - EARLY_S]
        return [f"it is damaged {_between(*each)}; frames there are lost or poor" for each in within]


def _between(start_s: float, end_s: float) -> str:
    return f"at {start_s:.2f} s" if end_s - start_s < 0.005 else f"from {start_s:.2f} s to {end_s:.2f} s"


def _tracks(container: Any) -> str:
    kinds = sorted({stream.type for stream in container.streams if stream.type})
    return ", only " + " and ".join("sound" if kind == "audio" else kind for kind in kinds) if kinds else ""


def _upright(pixels: ImageArray, frame: Any) -> ImageArray:
    """The image turned and mirrored as its display matrix says: 9 numbers, row by row, of which a, b, c, d count."""
    matrix = next((bytes(data) for data in frame.side_data if data.type.name == "DISPLAYMATRIX"), b"")
    if len(matrix) < 36:
        return pixels
    a, b, _, c, d = np.frombuffer(matrix, np.int32, 5).tolist()
    if abs(b) > abs(a):
        pixels = pixels.transpose(1, 0, 2)
        a, d = c, b  # of the transposed image: x comes from c, y from b
    return np.ascontiguousarray(pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])
