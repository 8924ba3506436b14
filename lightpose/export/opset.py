"""ONNX's versions of its operators: which ones an exported graph can be written in."""

from __future__ import annotations

from lightpose.errors import ConfigError

__all__ = ["LEAST_OPSET", "OPSETS", "check_opset"]

OPSETS = range(17, 21)
"""In which graphs give the same answers, to the bit."""

LEAST_OPSET = min(OPSETS)
"""The one to write if none is asked for: the oldest runtimes open it."""


def check_opset(opset: int) -> None:
    """Raise ConfigError if graphs cannot be written in that opset."""
    if opset < min(OPSETS):
        raise ConfigError(
            f"opset {opset} has no layer normalization, which the networks need; take {LEAST_OPSET} or newer"
        )
    if opset not in OPSETS:
        raise ConfigError(f"opset {opset} is not known; take one from {min(OPSETS)} to {max(OPSETS)}")
