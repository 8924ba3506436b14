"""`read_video`: a video of any kind as frames with times."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from functools import partial
from io import BytesIO
from itertools import repeat
from pathlib import Path

from lightpose.errors import ConfigError, ImageError
from lightpose.io.prefetch import ahead
from lightpose.io.sources import HELD_BYTES, ImageFile, find_images
from lightpose.io.video.kinds import is_video, source_kind
from lightpose.io.video.live import Newest, Reconnecting
from lightpose.io.video.opencv import CvReader, Webcam
from lightpose.io.video.pyav import AvReader, has_av
from lightpose.io.video.shots import About, Reader, Shot
from lightpose.io.video.timing import Clock, Timing
from lightpose.types import Frame

__all__ = ["Video", "read_clip", "read_video"]

_AHEAD = 8
_READ_TIMEOUT_S = 10.0


def read_video(
    source: str | Path,
    timing: Timing | None = None,
    *,
    fps: float | None = None,
    give_up_s: float = 60.0,
    max_pixels: int | None = None,
) -> Video:
    """A video as frames, each with the time stamp that its container gives it.

        for frame, poses in estimator.stream(read_video("clip.mp4")):
            print(frame.time_s, len(poses))

    source: a file, `webcam:0`, an address (rtsp, http, https), or with `fps` a folder of numbered images; those in
    folders below it do not count. timing: which frames are taken; all if not given. give_up_s: seconds after which a
    stream that gives nothing has ended. max_pixels: as for `read_image`.
    Raises ImageError if the source is no video or cannot be opened, MissingPackageError if an address needs PyAV.
    """
    timing, kind, name = timing or Timing(), source_kind(str(source)), str(source)
    if fps is not None:
        if not Path(source).is_dir():
            raise ConfigError(f"--fps is for a folder of numbered images, and {source} is none")
        make = partial(_Folder, Path(source), fps, max_pixels)
        folder = make()
        return Video(folder, timing, Path(source).resolve().name, make=make, stamp=folder.stamp())
    if kind == "webcam":
        return Video(Webcam(int(name.partition(":")[2])), timing, name.replace(":", ""), live=True)
    if kind == "address":
        wait_s = min(_READ_TIMEOUT_S, give_up_s)
        stream = Reconnecting(lambda: AvReader(name, max_pixels, wait_s), give_up_s)
        return Video(stream, timing, "stream", live=stream.live, stamp=hashlib.sha256(name.encode()).hexdigest())
    path = Path(source)
    if not path.is_file():
        raise ImageError(f"cannot read {path}: there is no such file")
    if kind is None:
        raise ImageError(f"{path} is no video (MP4, MOV, MKV, WebM, AVI, MPEG and the like are)")
    file = partial(AvReader if has_av() else CvReader, path, max_pixels)
    return Video(file(), timing, path.name, path, make=file)


def read_clip(content: bytes, name: str = "", max_pixels: int | None = None) -> Video:
    """A video file's bytes as frames with times; nothing of it touches the disk.

    name: what results call the frames. max_pixels: as for `read_image`. Raises ImageError if it is no video or cannot
    be opened, MissingPackageError without PyAV: OpenCV reads files only.
    """
    if not is_video(content[:1024]):
        raise ImageError("the clip is no video (MP4, MOV, MKV, WebM, AVI, MPEG and the like are)")
    return Video(AvReader(BytesIO(content), max_pixels), Timing(), name)


class Video:
    """Frames of a source, once, in order; the next ones are decoded in a thread while the last is worked on.

    name: what results call the frames. path: the file, None if it is none. about: what the source says of itself. live:
    whether it goes on while nobody looks; then the newest frame is given, and `dropped` counts those that were not.
    lost: what could not be decoded, and notes: what was odd, a sentence each, both complete at the end. first: number
    of the first frame that is taken, where the reader does not begin at the start. stamp: what tells a source without
    a path from others.
    """

    def __init__(
        self,
        reader: Reader,
        timing: Timing,
        name: str,
        path: Path | None = None,
        live: bool = False,
        make: Callable[[], Reader] | None = None,
        first: int | None = None,
        stamp: str = "",
    ) -> None:
        self._reader, self._make, self._first, self.stamp = reader, make, first, stamp
        self.timing, self.name, self.path, self.live = timing, name, path, live
        self._clock = Clock(1 / reader.about.rate)
        self._newest: Newest | None = None
        self._sizes: dict[tuple[int, ...], float] = {}

    @property
    def about(self) -> About:
        """What the source says of itself."""
        return self._reader.about

    @property
    def lost(self) -> list[str]:
        """What could not be decoded."""
        return self._reader.lost

    @property
    def can_be_read_again(self) -> bool:
        """Whether it is a file or a folder, and not a camera or an address."""
        return self._make is not None

    def again(self) -> Video:
        """The same video, from its start. Raises ImageError if it cannot be read again."""
        if self._make is None:
            raise ImageError(f"{self.name} can be read once only; save it as a file first")
        return Video(self._make(), self.timing, self.name, self.path, False, self._make, self._first, self.stamp)

    @property
    def dropped(self) -> int:
        """Frames of a live source that came too fast."""
        return 0 if self._newest is None else self._newest.dropped

    @property
    def notes(self) -> list[str]:
        """What was odd."""
        sizes = [f"{width}x{height} from {time_s:.2f} s" for (height, width), time_s in self._sizes.items()]
        changes = [f"the size of the image changes: {', '.join(sizes)}"] if len(sizes) > 1 else []
        gaps = [f"the stream broke off at {time_s:.2f} s and came back" for time_s in getattr(self._reader, "gaps", [])]
        return [*self._clock.faults, *changes, *gaps]

    def expected(self) -> int | None:
        """How many frames will come, about; None if the source does not say."""
        about, timing = self.about, self.timing
        length_s = about.duration_s or (about.count / about.rate if about.count else None)
        if length_s is None or self.live:
            return None
        end_s = length_s if timing.end_s is None else min(length_s, timing.end_s)
        rate = about.count / length_s if about.count else about.rate
        return max(1, round((end_s - timing.start_s) * rate / timing.every))

    def __iter__(self) -> Generator[Frame]:
        frames = self._taken()
        try:
            if self.live:
                yield from frames
                return
            with closing(ahead(lambda _: next(frames, None), repeat(None), _AHEAD, HELD_BYTES, _bytes_of)) as read:
                try:
                    for frame in read:
                        if frame is None:
                            break
                        yield frame
                finally:
                    if isinstance(self._reader, Reconnecting):  # else the thread that reads ahead would go on trying
                        self._reader.close()
        finally:
            frames.close()
            self.close()

    def close(self) -> None:
        """Let go of the source."""
        if self._newest is not None:
            self._newest.stop()
        else:
            self._reader.close()

    def _taken(self) -> Generator[Frame]:
        """The frames that are wanted."""
        first: int | None = None
        wanted = 0
        for number, shot in self._shots():
            player_s = self._clock.tell(shot.stamp_s)
            if self.timing.is_over(player_s):
                return
            if not self.timing.has_begun(player_s):
                continue
            first = number if first is None else first
            if (number >= wanted) if self.live else ((number - first) % self.timing.every == 0):
                wanted = number + self.timing.every
                image = shot.image()
                self._sizes.setdefault(image.shape[:2], player_s)
                index = number if self._first is None else self._first + number - first
                yield Frame(image, self.name, index, self.timing.filmed_s(player_s), self.path)

    def _shots(self) -> Iterator[tuple[int, Shot]]:
        if not self.live:
            shots = enumerate(self._reader.shots())
            return ((count if shot.number is None else shot.number, shot) for count, shot in shots)
        self._newest = Newest(self._reader.shots(), self._reader.close)
        return iter(self._newest)


def _bytes_of(frame: Frame | None) -> int:
    return 0 if frame is None else frame.image.nbytes


class _Folder:
    """Reads the images of a folder in the order of the numbers in their names, `fps` of them a second. See `Reader`."""

    def __init__(self, folder: Path, fps: float, max_pixels: int | None) -> None:
        if not 0 < fps < 1e4:
            raise ConfigError(f"--fps must be above 0, not {fps}")
        files = [file for file in find_images([str(folder)]) if file.path.parent == folder]
        if not files:
            raise ImageError(f"{folder} has images in folders below it alone; name the folder of the frames")
        self._files: list[ImageFile] = sorted(files, key=lambda file: _natural(file.name.as_posix()))
        self._fps, self._max_pixels = fps, max_pixels
        self.lost: list[str] = []
        self.about = About(fps, len(self._files), len(self._files) / fps)

    def shots(self) -> Generator[Shot]:
        """The images; those that cannot be read are noted."""
        for number, file in enumerate(self._files):
            try:
                image = file.read(self._max_pixels)
            except ImageError as error:
                self.lost.append(f"frame {number} at {number / self._fps:.2f} s: {error}")
            else:
                yield Shot(number / self._fps, lambda image=image: image, number)  # type: ignore[misc]

    def stamp(self) -> str:
        """What changes when an image or the rate does."""
        told = [self._fps, *((file.name.as_posix(), file.stamp()) for file in self._files)]
        return hashlib.sha256(repr(told).encode()).hexdigest()

    def close(self) -> None:
        """Nothing is open."""


def _natural(name: str) -> list[tuple[str, int]]:
    """A key by which frame2 comes before frame10."""
    return [(text, int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d{0,30})", name)]
