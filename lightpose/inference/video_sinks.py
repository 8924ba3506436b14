"""Sinks for videos: a drawn video, and a window that shows the frames as they come."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import cv2

from lightpose.errors import ConfigError
from lightpose.io.video import Video, VideoWriter, video_writer
from lightpose.results import Poses
from lightpose.types import Frame

__all__ = ["DrawnVideo", "Window"]


class DrawnVideo:
    """Writes the frames of a video with skeletons, at the times that they have, with the sound of its file.

    path: as `suffix_written` says. video: where the frames come from. threshold: joints that score less are left out.
    """

    def __init__(self, path: Path, video: Video, threshold: float = 0.2) -> None:
        self._path, self._video, self._threshold = path, video, threshold
        self._writer: VideoWriter | None = None

    def write(self, frame: Frame, poses: Poses) -> None:
        """Append the drawn frame; the first one gives the size of all."""
        video, image = self._video, poses.plot(frame.image, self._threshold)
        if self._writer is None:
            sound = video.path if video.about.sound else None
            rate = video.about.rate / video.timing.every
            self._writer = video_writer(
                self._path, frame.image.shape[:2], rate, sound, video.timing.start_s, video.about.aspect
            )
        self._writer.write(image, video.timing.drawn_s(frame.time_s or 0.0))

    def close(self) -> None:
        """Finish the video."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()


class Window:
    """Shows the drawn frames as they come, with frames a second, and how late they are if the source is live.

    Raises ConfigError if OpenCV has no windows, or KeyboardInterrupt if q or Esc is pressed in it.
    """

    def __init__(self, video: Video, threshold: float = 0.2) -> None:
        self._video, self._threshold, self._title = video, threshold, f"lightpose: {video.name}"
        self._begun_s = self._last_s = 0.0
        self._rate = 0.0
        try:
            cv2.namedWindow(self._title, cv2.WINDOW_NORMAL)
        except (cv2.error, AttributeError) as error:
            raise ConfigError(
                "--show needs an OpenCV with windows: uninstall opencv-python-headless, then pip install opencv-python"
            ) from error

    def write(self, frame: Frame, poses: Poses) -> None:
        """Show the drawn frame."""
        now_s, time_s = time.monotonic(), frame.time_s or 0.0
        self._begun_s = self._begun_s or now_s - time_s
        if self._last_s:
            self._rate += 0.1 * (1 / max(now_s - self._last_s, 1e-3) - self._rate)
        self._last_s = now_s
        lag = f", {1000 * max(0.0, now_s - self._begun_s - time_s):.0f} ms late" if self._video.live else ""
        image = cv2.cvtColor(poses.plot(frame.image, self._threshold), cv2.COLOR_RGB2BGR)
        cv2.putText(image, f"{self._rate:.1f} fps{lag}", (8, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255, 255, 255), 2)
        cv2.imshow(self._title, image)
        if cv2.waitKey(1) & 0xFF in (27, ord("q")):
            raise KeyboardInterrupt

    def close(self) -> None:
        """Close the window."""
        with suppress(cv2.error):
            cv2.destroyWindow(self._title)
