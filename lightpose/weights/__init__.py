"""Weights files: the ones the package brings, and reading and writing networks with their `ModelSpec` inside."""

from __future__ import annotations

from pathlib import Path

from lightpose.errors import WeightsError

__all__ = ["DEFAULT", "find_weights"]

DEFAULT = "lpn50"
"""The weights used when none are named."""

_BUNDLED = Path(__file__).parent / "bundled"


def find_weights(name_or_path: str | Path) -> Path:
    """The file of bundled weights by name, or the given path. Raises WeightsError if there is neither."""
    bundled = {path.stem: path for path in sorted(_BUNDLED.glob("*.onnx"))}
    if str(name_or_path) in bundled:
        return bundled[str(name_or_path)]
    path = Path(name_or_path)
    if not path.is_file():
        raise WeightsError(f"no weights at {path}; give a file, or one of the bundled: {', '.join(bundled) or 'none'}")
    return path
