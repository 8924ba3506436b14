"""`python -m lightpose` and the command `lightpose`."""

from __future__ import annotations

import os
import signal
from typing import NoReturn

__all__ = ["main"]


def main() -> NoReturn:
    """Run the command. Ctrl-C ends it with 130, also while it is loaded, which takes a second, and while it ends."""
    before = signal.signal(signal.SIGINT, _leave)
    if before is signal.SIG_IGN:  # as a shell does for what runs in the background
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    from lightpose.cli import main as run

    signal.signal(signal.SIGINT, before)
    try:
        run()
    finally:
        if before is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, _leave)


def _leave(*_: object) -> NoReturn:
    """Nothing is to be cleaned up."""
    os.write(2, b"lightpose: interrupted\n")
    os._exit(130)


if __name__ == "__main__":
    main()
