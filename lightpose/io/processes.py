"""What is done where processes start others."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["ended_by", "no_interrupt"]


@contextmanager
def no_interrupt() -> Iterator[None]:
    """Have processes that start here never see Ctrl-C, which goes to all of a terminal: their parent ends them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ended_by(code: int | None) -> str:
    """What a process ended by, from its exit code, as half a sentence."""
    if code is None or code >= 0:
        return f"it ended with code {code}"
    try:
        return f"it ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"it ended by signal {-code}"
