"""Videos that tests make on the spot: small, of known content, at known times, and damaged on purpose."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

av = pytest.importorskip("av")

HW = (48, 64)
TICKS = 90_000
RATE = 30


def content(number: int, hw: tuple[int, int] = HW) -> np.ndarray:
    """An image whose grey says its number, with a moving bar that makes it large enough to be damaged."""
    image = np.full((*hw, 3), 20 + number * 3 % 200, np.uint8)
    image[:, number % hw[1]] = np.random.default_rng(number).integers(0, 256, (hw[0], 3))
    return image


def number_of(image: np.ndarray, count: int = 60) -> int:
    """The number of a decoded image of `content`."""
    greys = [20 + number * 3 % 200 for number in range(count)]
    return int(np.argmin(np.abs(np.array(greys) - np.median(image))))


def write_clip(
    path: Path,
    times_s: Sequence[float] = tuple(n / RATE for n in range(30)),
    hw: tuple[int, int] = HW,
    make: Callable[[int], np.ndarray] | None = None,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    click_s: float | None = None,
    sound: str = "aac",
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
) -> Path:
    """A video of those times. click_s: with a sound track, silent but for a click at that second."""
    with av.open(path, "w", options=container or {}) as out:
        stream = out.add_stream(codec, rate=RATE, options={"g": "10", "bf": "0", **(options or {})})
        stream.height, stream.width, stream.pix_fmt = *hw, pix_fmt
        stream.codec_context.time_base = Fraction(1, TICKS)
        track = None if click_s is None else out.add_stream(sound, rate=48_000, layout="mono")
        for number, time_s in enumerate(times_s):
            image = content(number, hw) if make is None else make(number)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = round(time_s * TICKS), Fraction(1, TICKS)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if track is not None:
            write_click(out, track, click_s or 0.0, times_s[-1] + 0.5)
    return path


def write_click(out, track, click_s: float, length_s: float) -> None:
    samples = np.zeros(int(length_s * 48_000), np.float32)
    samples[int(click_s * 48_000) : int((click_s + 0.005) * 48_000)] = 0.9
    kind = track.format.name if track.format is not None else "fltp"
    for start in range(0, len(samples), 1024):
        part = samples[start : start + 1024]
        values = (part * 32767).astype(np.int16) if kind.startswith("s16") else part
        frame = av.AudioFrame.from_ndarray(values[None], kind, "mono")
        frame.pts, frame.sample_rate, frame.time_base = start, 48_000, Fraction(1, 48_000)
        out.mux(track.encode(frame))
    out.mux(track.encode(None))


def times_of(path: Path) -> list[float]:
    """The time stamps of a video's frames, in seconds."""
    with av.open(path) as source:
        return [float(frame.pts * frame.time_base) for frame in source.decode(video=0)]


def images_of(path: Path) -> list[np.ndarray]:
    with av.open(path) as source:
        return [frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)]


def click_of(path: Path) -> float:
    """When the loudest sample of the sound of a video is heard, in seconds."""
    loudest, when = 0.0, 0.0
    with av.open(path) as source:
        for frame in source.decode(audio=0):
            values = np.abs(frame.to_ndarray().astype(np.float64)).max(0) / (32768 if "s16" in frame.format.name else 1)
            if values.max() > loudest:
                loudest, when = values.max(), float(frame.pts * frame.time_base) + values.argmax() / frame.sample_rate
    return when


def damage(path: Path, share: float = 0.5, count: int = 300) -> Path:
    """The file with so many bytes zero."""
    content = bytearray(path.read_bytes())
    start = int(len(content) * share)
    content[start : start + count] = bytes(count)
    path.write_bytes(content)
    return path


def cut(path: Path, share: float = 0.6) -> Path:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


def turn(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Give an MP4 file's track that display matrix."""
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 4 + 40  # version and flags, times, track, length, layer, volume
    numbers = [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30]
    content[place : place + 36] = b"".join(number.to_bytes(4, "big", signed=True) for number in numbers)
    path.write_bytes(content)
    return path
