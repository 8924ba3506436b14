"""Sources that do not wait: of what nobody took in time only the newest is kept; what breaks off is opened anew."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator

from lightpose.errors import ImageError
from lightpose.io.video.shots import About, Reader, Shot

__all__ = ["Newest", "Reconnecting"]

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.25, 8.0


class Reconnecting:
    """Reads an address, and opens it anew when it breaks off or freezes; each try waits twice as long as the last.

    make: opens the source; raises ImageError if it cannot be opened. The first error of all is raised. give_up_s: how
    long it is tried after the last frame. Times go on as the clock does. A recording, which has an end, goes on where
    it broke off. See `Reader`.
    """

    def __init__(self, make: Callable[[], Reader], give_up_s: float) -> None:
        self._make, self._give_up_s = make, give_up_s
        self._reader: Reader | None = make()
        self.about: About = self._reader.about
        self.live = self.about.duration_s is None
        self.lost: list[str] = []
        self.gaps: list[float] = []
        self._stopped = threading.Event()
        self._last_s = 0.0

    def shots(self) -> Generator[Shot]:
        """The frames of all connections."""
        try:
            yield from self._shots()
        finally:
            self._drop()

    def close(self) -> None:
        """Stop trying. The connection is closed by whoever reads it."""
        self._stopped.set()

    def _shots(self) -> Generator[Shot]:
        arrived_s, wait_s, shift_s, begun = time.monotonic(), _FIRST_WAIT_S, 0.0, False
        why = "the stream ended"
        while not self._stopped.is_set():
            try:
                reader = self._reader = self._reader or self._make()
                new = True
                for shot in reader.shots():
                    stamp_s = shot.stamp_s
                    if self.live and stamp_s is not None:
                        if new and begun:
                            shift_s = self._last_s + time.monotonic() - arrived_s - stamp_s
                        stamp_s += shift_s
                    elif not self.live and begun and stamp_s is not None and stamp_s <= self._last_s:
                        continue  # came before the break already
                    if new and begun:
                        self.gaps.append(self._last_s)
                    new, begun, wait_s, arrived_s = False, True, _FIRST_WAIT_S, time.monotonic()
                    self._last_s = self._last_s if stamp_s is None else stamp_s
                    yield Shot(stamp_s, shot.image)
                if self._is_whole(reader):
                    return
                why = "the stream ended"
            except ImageError as error:
                why = str(error)
            self._drop()
            if time.monotonic() - arrived_s + wait_s > self._give_up_s:
                self.lost.append(f"nothing came after {self._last_s:.2f} s for {self._give_up_s:g} s: {why}")
                return
            self._stopped.wait(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    def _is_whole(self, reader: Reader) -> bool:
        """Whether a recording was read to its end."""
        end_s = self.about.duration_s
        return end_s is not None and (self._last_s > end_s - 1.0 or not reader.lost)

    def _drop(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = None


class Newest:
    """Reads shots in a thread and gives the newest, with its number; those that nobody took in time are dropped."""

    def __init__(self, shots: Generator[Shot], close: Callable[[], None]) -> None:
        self.dropped = 0
        self._shots, self._close = shots, close
        self._changed = threading.Condition()
        self._waiting: tuple[int, Shot] | None = None
        self._over = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, name="live source", daemon=True)
        self._thread.start()

    def __iter__(self) -> Generator[tuple[int, Shot]]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting is not None or self._over)
                taken, self._waiting = self._waiting, None
            if taken is None:
                if self._error is not None:
                    raise self._error
                return
            yield taken

    def stop(self) -> None:
        """Read no more."""
        with self._changed:
            self._over = True
        self._close()
        self._thread.join(1.0)

    def _read(self) -> None:
        try:
            for number, shot in enumerate(self._shots):
                with self._changed:
                    if self._over:
                        break
                    self.dropped += self._waiting is not None
                    self._waiting = number, shot
                    self._changed.notify()
        except Exception as error:  # is raised where the frames are taken
            self._error = error
        finally:
            self._shots.close()
            with self._changed:
                self._over = True
                self._changed.notify()
