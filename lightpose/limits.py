"""Bounds of settings: a value outside them is refused by the name that it has in the file."""

from __future__ import annotations

import reprlib

from lightpose.errors import ConfigError

__all__ = ["FACTORS", "LARGEST_INT", "check_factors", "check_range"]

LARGEST_INT = 2**63 - 1
FACTORS = (1e-6, 1e6)
"""The least and the most that a factor, a length or a time is: of a loss, float32 learns from no other."""


def check_range(key: str, value: float, least: float, most: float, *, or_zero: bool = False) -> None:
    """Raise ConfigError unless a setting is from least to most, which NaN is not. or_zero: 0 is good as well."""
    if not (least <= value <= most or (or_zero and value == 0)):
        bounds = f"{'0, or ' if or_zero else ''}from {_short(least)} to {_short(most)}"
        raise ConfigError(f"{key} must be {bounds}, not {reprlib.repr(value)}")


def check_factors(factors: dict[str, float]) -> None:
    """Raise ConfigError unless factors of a loss are 0 or of a size to learn by, and one of them is not 0.

    factors: by their keys in the file.
    """
    for key, value in factors.items():
        check_range(key, value, *FACTORS, or_zero=True)
    if not any(factors.values()):
        raise ConfigError(f"{' and '.join(factors)} must not both be 0")


def _short(bound: float) -> str:
    return str(bound) if isinstance(bound, int) else f"{bound:g}"
