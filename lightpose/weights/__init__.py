"""Weights files: the ones the package brings, and reading and writing networks with their `ModelSpec` inside."""

from __future__ import annotations

import hashlib
from pathlib import Path

from lightpose.errors import WeightsError
from lightpose.io.files import finish_replacing, replace_together

__all__ = [
    "DEFAULT",
    "DETECTOR",
    "bundled_weights",
    "file_sha256",
    "find_weights",
    "has_detector",
    "install_weights",
    "known_sha256",
]

DEFAULT = "lpn50"
"""The weights used when none are named."""

DETECTOR = "person_detector"
"""The detector that finds people where no other is named, if it is there."""

_BUNDLED = Path(__file__).parent / "bundled"
SUMS = "SHA256SUMS"


def bundled_weights() -> dict[str, Path]:
    """The weights that the package brings, by name."""
    return {path.stem: path for path in sorted(_BUNDLED.iterdir()) if path.suffix == ".onnx"}


def known_sha256() -> dict[str, str]:
    """The SHA-256 of bundled weights as they were packed, by name: SHA256SUMS, which `sha256sum -c` reads too."""
    lines = (_BUNDLED / SUMS).read_text(encoding="utf-8").splitlines()
    return {Path(name).stem: digest for digest, name in (line.split() for line in lines)}


def install_weights(folder: Path, *files: Path) -> None:
    """Put weights files into a folder, and its SHA256SUMS with them, for the scripts that make the project's own.

    A kill leaves no SHA256SUMS beside files that it is not of.
    """
    there = {path.name: path for path in folder.iterdir() if path.suffix == ".onnx"}
    there |= {path.name: path for path in files}
    sums = "".join(f"{file_sha256(path)}  {name}\n" for name, path in sorted(there.items()))
    with replace_together(*(folder / path.name for path in files), folder / SUMS) as (*targets, target):
        for path, file in zip(files, targets, strict=True):
            file.write(path.read_bytes())
        target.write(sums.encode())


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find_weights(name_or_path: str | Path) -> Path:
    """The file of bundled weights by name, the given path, or what is kept by that name (see `registry`).

    Raises WeightsError if there is none of these.
    """
    from lightpose.weights.registry import find_model, kept_models

    bundled = bundled_weights()
    if str(name_or_path) in bundled:
        return bundled[str(name_or_path)]
    path = Path(name_or_path)
    if path.suffix == ".xml":
        finish_replacing(path.with_suffix(".bin"), path)
    if not path.is_file():
        if kept := find_model(str(name_or_path)):
            return kept
        names = ", ".join([*bundled, *kept_models()]) or "none"
        raise WeightsError(f"no weights at {path}; give a file, or one of the bundled: {names}")
    return path


def has_detector() -> bool:
    """Whether the package brings a person detector."""
    return (_BUNDLED / f"{DETECTOR}.onnx").is_file()
