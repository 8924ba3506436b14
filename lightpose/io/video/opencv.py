"""Videos through OpenCV: files where PyAV is not installed, and webcams."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from pathlib import Path

import cv2
import numpy as np

from lightpose.errors import ImageError
from lightpose.io.images import max_pixels_allowed
from lightpose.io.video.shots import About, Shot
from lightpose.types import ImageArray

__all__ = ["CvReader", "Webcam"]

_FROZEN_S = 1.0


class CvReader:
    """Reads a file. OpenCV stops at the first damaged packet, and tells no time of it. See `Reader`."""

    def __init__(self, path: Path, max_pixels: int | None = None) -> None:
        self._path = path
        self.lost: list[str] = []
        self._capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            raise ImageError(
                f"cannot read {path}: it has no video track, is damaged, or OpenCV cannot decode it; "
                "pip install 'lightpose[video]' reads more"
            )
        width, height = (int(self._capture.get(each)) for each in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        limit = max_pixels_allowed(max_pixels)
        if width * height > limit:
            self.close()
            raise ImageError(f"{path} has {width:,} x {height:,} pixels, more than the {limit:,} that are decoded")
        rate, count = self._capture.get(cv2.CAP_PROP_FPS), int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        rate = rate if 0.01 < rate < 1000 else 30.0
        count = count if 0 < count < 2**40 else 0
        self.about = About(rate, count, count / rate or None)

    def shots(self) -> Generator[Shot]:
        """The frames up to the first damaged one."""
        number, last_s = 0, 0.0
        while self._capture.grab():
            stamp_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            last_s = max(last_s, stamp_s)
            number += 1
            yield Shot(stamp_s, self._image)
        rest_s = (self.about.duration_s or 0) - last_s
        if number < self.about.count and rest_s > 1.5 / self.about.rate + 0.02:
            self.lost.append(f"OpenCV decodes nothing after {last_s:.2f} s; pip install 'lightpose[video]' goes on")

    def close(self) -> None:
        """Close the file."""
        self._capture.release()

    def _image(self) -> ImageArray:
        """The image that was grabbed last."""
        decoded, image = self._capture.retrieve()
        if not decoded or image is None:
            raise ImageError(f"a frame of {self._path} cannot be decoded")
        return _rgb(image)


class Webcam:
    """Reads a webcam. number: 0 is the first. Times are those of grabbing. See `Reader`.

    source: what OpenCV opens in its place, such as a file.
    """

    def __init__(self, number: int, source: str | None = None) -> None:
        self._name = f"webcam:{number}"
        self.lost: list[str] = []
        self._reading = threading.Lock()
        self._capture = cv2.VideoCapture(number) if source is None else cv2.VideoCapture(source, cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            raise ImageError(f"cannot open {self._name}; check that it is plugged in and that no other program uses it")
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.about = About(rate if 1 <= rate < 1000 else 30.0)

    def shots(self) -> Generator[Shot]:
        """The frames, until the camera is unplugged."""
        begun_s = None
        while True:
            with self._reading:
                grabbed, image = self._capture.read()
            if not grabbed:
                raise ImageError(f"{self._name} gives no more frames")
            now_s = time.monotonic()
            begun_s = now_s if begun_s is None else begun_s
            yield Shot(now_s - begun_s, lambda image=image: _rgb(image))  # type: ignore[misc]

    def close(self) -> None:
        """Let the camera go when the frame that another thread reads is there. A frozen camera stays open."""
        if self._reading.acquire(timeout=_FROZEN_S):
            self._capture.release()
            self._reading.release()


def _rgb(image: object) -> ImageArray:
    pixels: ImageArray = np.ascontiguousarray(np.asarray(image, np.uint8)[..., ::-1])
    return pixels
