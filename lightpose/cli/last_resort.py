"""What a command may end with: an exit code and one sentence, whatever happens; and what may reach the terminal."""

from __future__ import annotations

import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn, TextIO, cast

from lightpose.errors import LightposeError, RenamedWarning

__all__ = ["DEBUG", "escape_controls", "finish", "quiet_streams"]

DEBUG = "LIGHTPOSE_DEBUG"
"""The environment variable that asks for tracebacks and for what libraries say."""

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that move the cursor, colour the terminal or turn text around, and halves of none; not tab and newline."""

_HALF = 1000
"""Characters at either end of a sentence that are shown."""


def escape_controls(text: str) -> str:
    """The text with control characters as Python shows them, so that a file's name cannot act as one."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class _Escaping:
    """A text stream before another; what is written to it shows its control characters.

    rich, which colours on purpose and escapes by itself, writes to the other one.
    """

    def __init__(self, raw: TextIO) -> None:
        self.rich_proxied_file = raw

    def write(self, text: str) -> int:
        """Write the text, escaped."""
        self.rich_proxied_file.write(escape_controls(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rich_proxied_file, name)


@contextmanager
def quiet_streams() -> Iterator[None]:
    """Standard output and error that show control characters, with what lightpose notes, without libraries' warnings.

    A missing stream becomes one that swallows what it gets.
    """
    before, show, notes = (sys.stdout, sys.stderr), warnings.showwarning, _Notes()
    out, err = (open(os.devnull, "w") if each is None else each for each in before)  # noqa: PTH123, SIM115
    sys.stdout, sys.stderr = (cast(TextIO, _Escaping(each)) for each in (out, err))
    warnings.showwarning = _noting(show)
    logger = logging.getLogger("lightpose")
    logger.addHandler(notes)
    try:
        yield
    finally:
        logger.removeHandler(notes)
        (sys.stdout, sys.stderr), warnings.showwarning = before, show


class _Notes(logging.Handler):
    """Prints what the package logs, such as how a file of labels is read: each line once, on standard error."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if line not in self._said:
            self._said.add(line)
            print(f"lightpose: {line}", file=sys.stderr)


def _noting(show: Callable[..., Any]) -> Callable[..., Any]:
    """How warnings are shown: ours as one line, those of libraries only where DEBUG is set."""

    def note(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, RenamedWarning):
            print(f"lightpose: {message}", file=sys.stderr)
        elif os.environ.get(DEBUG):
            show(message, category, *place, **more)

    return note


def finish(run: Callable[[], int]) -> NoReturn:
    """Run a command and exit: with its code, or after one sentence on standard error with 2, 130 or 141."""
    try:
        with quiet_streams():
            code = run()
            sys.stdout.flush()
        sys.exit(code)
    except LightposeError as error:
        _say(str(error))
    except BrokenPipeError:  # whoever read the output, such as head, has seen enough
        _close_output()
        sys.exit(141)  # as a program that the system ends for it
    except OSError as error:
        _say(f"cannot use {error.filename or 'a file'}: {error.strerror or error}", error)
    except KeyboardInterrupt:
        _say("interrupted", code=130)
    except MemoryError as error:
        _say("there is not enough memory for this; use smaller images, batches or fewer threads", error)
    except Exception as error:  # what no reader has foreseen must not end in a traceback
        if _comes_of_interrupt(error):
            _say("interrupted", code=130)
        what = f"{type(error).__name__}: {str(error).strip()}".partition("\n")[0]
        _say(f"something unforeseen went wrong ({what}); set {DEBUG}=1 for the details", error)


def _comes_of_interrupt(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind an error: libraries in C turn it into an ImportError while they are loaded."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _say(sentence: str, error: BaseException | None = None, code: int = 2) -> NoReturn:
    """Exit after one line on standard error, or with the traceback where that is asked for."""
    if error is not None and os.environ.get(DEBUG):
        raise error
    with suppress(OSError, ValueError):  # nobody reads it
        print(escape_controls(_short(f"lightpose: {sentence}".replace("\n", " "))), file=sys.stderr, flush=True)
    sys.exit(code)


def _short(sentence: str) -> str:
    """A sentence without its middle where a value out of a file makes it too long to be read."""
    return sentence if len(sentence) <= 2 * _HALF else f"{sentence[:_HALF]} … {sentence[-_HALF:]}"


def _close_output() -> None:
    """Let the interpreter flush what is left of standard output into nothing."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
