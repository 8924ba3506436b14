"""Weights files by names of one's own: kept in the user's data folder, checked by SHA-256 whenever they are opened."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from lightpose.errors import ConfigError, WeightsError
from lightpose.io.files import is_plain, replace_together, write_aside
from lightpose.io.places import Place, claimed

__all__ = ["FOLDER_SETTING", "Kept", "add_model", "find_model", "kept_models", "models_folder", "remove_model"]

FOLDER_SETTING = "LIGHTPOSE_MODELS"
"""Environment variable with the folder to use instead of the usual one."""

SUFFIXES = (".onnx", ".safetensors", ".zip")
LARGEST = 2**31
"""Bytes of a file."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHUNK = 2**20

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there, and how many there will be, None if that is not told."""


@dataclass(frozen=True)
class Kept:
    """A file that is kept. file: its name in the folder. source: the path or address that it is from."""

    name: str
    file: str
    size: int
    sha256: str
    source: str

    @property
    def path(self) -> Path:
        return models_folder() / self.file


def models_folder() -> Path:
    """Where files are kept: LIGHTPOSE_MODELS, or `lightpose/models` in the system's folder for data of programs."""
    if told := os.environ.get(FOLDER_SETTING):
        return Path(told)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library/Application Support"
    else:  # the XDG Base Directory Specification, by which a path that is not absolute does not count
        told = os.environ.get("XDG_DATA_HOME", "")
        base = Path(told) if Path(told).is_absolute() else Path.home() / ".local/share"
    return base / "lightpose/models"


def kept_models() -> dict[str, Kept]:
    """All that are kept, by name. What is no note of this module's is passed over."""
    folder = models_folder()
    found = [_read(path) for path in sorted(folder.glob("*.json"))] if folder.is_dir() else []
    return {each.name: each for each in found if each is not None}


def find_model(name: str) -> Path | None:
    """The file that is kept by a name, None if there is none. Raises WeightsError if it is not as it was added."""
    if not _NAME.fullmatch(name):
        return None
    kept = _read(models_folder() / f"{name}.json")
    if kept is None:
        return None
    if not is_plain(kept.path) or kept.path.stat().st_size != kept.size or _sha256(kept.path) != kept.sha256:
        raise WeightsError(
            f"{kept.path}, which is kept as {name}, is not as it was added; add it again: lightpose models add {name} "
            f"{kept.source}"
        )
    return kept.path


def add_model(
    name: str,
    source: str,
    sha256: str | None = None,
    largest: int = LARGEST,
    progress: Progress = lambda *_: None,
    reserved: Collection[str] = (),
) -> Kept:
    """Keep a file, given by its path or an https address, by a name. An older one of that name is replaced.

    sha256: what it must have, in hexadecimal. largest: most bytes. reserved: names that are others', such as those
    of bundled weights, which go before. A download that was broken off goes on where it ended, if the server can.
    Raises ConfigError for a name or address that cannot be, WeightsError if the file is missing, too large, or not
    the one that `sha256` says; then nothing is kept.
    """
    wanted = None if sha256 is None else sha256.lower()
    if wanted is not None and not _SHA256.fullmatch(wanted):
        raise ConfigError(f"{sha256!r} is no SHA-256, which is 64 hexadecimal digits")
    _check_name(name, reserved)
    is_address = "://" in source
    suffix = Path(_path_of(source) if is_address else source).suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(f"{source} must end in {', '.join(SUFFIXES)}")
    folder = models_folder()
    folder.mkdir(parents=True, exist_ok=True)
    target, note = folder / f"{name}{suffix}", folder / f"{name}.json"
    with claimed(Place("the model", target)):
        before = _read(note)
        if is_address:
            digest, size = _download(source, folder / f"{name}.download", wanted, largest, progress, target)
            kept = Kept(name, target.name, size, digest, source)
            write_aside(note, json.dumps(asdict(kept)).encode())
        else:
            kept = _copy(name, Path(source), target, note, wanted, largest)
        if before is not None and before.file != kept.file:
            before.path.unlink(missing_ok=True)
    return kept


def remove_model(name: str) -> Kept:
    """Delete what is kept by a name. Raises WeightsError if there is nothing."""
    kept = kept_models().get(name)
    if kept is None:
        known = ", ".join(kept_models()) or "none"
        raise WeightsError(f"nothing is kept as {name!r}; kept are {known}")
    with claimed(Place("the model", kept.path)):
        (models_folder() / f"{name}.json").unlink(missing_ok=True)
        kept.path.unlink(missing_ok=True)
    return kept


def _check_name(name: str, reserved: Collection[str]) -> None:
    if not _NAME.fullmatch(name) or Path(name).suffix.lower() in (*SUFFIXES, ".xml", ".json"):
        raise ConfigError(
            f"{name!r} cannot be a name: take up to 64 letters, digits, dots, hyphens and underscores, without a suffix"
        )
    if name in reserved:
        raise ConfigError(f"{name} is bundled with lightpose; take another name")


def _read(note: Path) -> Kept | None:
    """What a note says; None if there is none, or it is another program's."""
    try:
        table = json.loads(note.read_text(encoding="utf-8"))
        kept = Kept(**table)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    texts = all(isinstance(each, str) for each in (kept.name, kept.file, kept.sha256, kept.source))
    good = texts and isinstance(kept.size, int) and kept.name == note.stem and Path(kept.file).name == kept.file
    return kept if good else None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy(name: str, source: Path, target: Path, note: Path, wanted: str | None, largest: int) -> Kept:
    if not source.is_file():
        raise WeightsError(f"there is no file {source}; give a path or an https address")
    if source.stat().st_size > largest:
        raise WeightsError(f"{source} has {source.stat().st_size:,} bytes, more than {largest:,}")
    digest = hashlib.sha256()
    with source.open("rb") as content, replace_together(target, note) as (file, beside):
        size = 0
        for chunk in _chunks(content):
            digest.update(chunk)
            file.write(chunk)
            size += len(chunk)
        _check_sum(str(source), digest.hexdigest(), wanted)
        kept = Kept(name, target.name, size, digest.hexdigest(), str(source.absolute()))
        beside.write(json.dumps(asdict(kept)).encode())
    return kept


def _chunks(content: IO[bytes]) -> Iterator[bytes]:
    while chunk := content.read(_CHUNK):
        yield chunk


def _check_sum(source: str, found: str, wanted: str | None) -> None:
    if wanted is not None and found != wanted:
        raise WeightsError(f"{source} has the SHA-256 {found}, not {wanted}; it is another file, so it was not kept")


def _path_of(address: str) -> str:
    from urllib.parse import urlsplit

    return urlsplit(address).path


def _download(
    address: str, partial: Path, wanted: str | None, largest: int, progress: Progress, target: Path
) -> tuple[str, int]:
    """Fetch a file and move it into place; returns its SHA-256 and size."""
    from lightpose.weights.download import download

    download(address, partial, largest, progress)
    digest, size = _sha256(partial), partial.stat().st_size
    try:
        _check_sum(address, digest, wanted)
    except WeightsError:
        partial.unlink(missing_ok=True)
        raise
    partial.replace(target)
    return digest, size
