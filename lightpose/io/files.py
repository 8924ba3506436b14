"""Files that are written whole or not at all, places to write them, and json read with an error of one sentence."""

from __future__ import annotations

import json
import os
from pathlib import Path
from threading import get_native_id
from typing import Any

from lightpose.errors import ConfigError, DataError, LightposeError

__all__ = ["check_folder", "check_place", "read_json", "write_aside"]


def write_aside(path: str | Path, content: bytes) -> None:
    """Write a file whole or not at all: under another name first, then renamed into place."""
    path = Path(path)
    aside = path.with_name(f".{path.name[:40]}.{get_native_id()}.partial")  # a name may be as long as names can be
    try:
        aside.write_bytes(content)
        aside.replace(path)
    except OSError as error:
        error.filename, error.filename2 = str(path), None  # what the user knows; a full disk tells none
        raise
    finally:
        aside.unlink(missing_ok=True)


def read_json(path: str | Path, error: type[LightposeError] = DataError) -> Any:
    """A json file's content. Raises `error` if it is missing or is no json."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as cause:
        raise error(f"cannot read {path}: {cause.strerror}") from cause
    except (ValueError, RecursionError) as cause:
        raise error(f"{path} is not a json file ({cause})") from cause


def check_place(path: Path) -> None:
    """Raise ConfigError if no file can be written there, so that this is known before the work."""
    if not path.parent.is_dir():
        raise ConfigError(f"{path} cannot be written: there is no folder {path.parent}; make it first")
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; name a file in it")


def check_folder(path: Path) -> None:
    """Raise ConfigError if that folder cannot be written to or made, so that this is known before the work."""
    there = next(place for place in (path, *path.absolute().parents) if os.path.lexists(place))
    if not there.is_dir():
        raise ConfigError(f"{there} is a file, not a folder; name another folder for the results")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(f"there is no permission to write to {there}; name another folder for the results")
