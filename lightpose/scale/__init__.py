"""Bulk inference: a million images on many processes or machines, each counted once."""

from __future__ import annotations

__all__: list[str] = []
