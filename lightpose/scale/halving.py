"""Which images of a shard end the process that works on them: found by halving, each tried alone at last."""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = ["WINDOW", "find_poison", "suspects"]

WINDOW = 48
"""Images after the last one that was told of, among which the work may have been: fetched, decoded, or in a batch."""


def find_poison(survives: Callable[[Sequence[int]], bool], numbers: Sequence[int]) -> list[int]:
    """The images that end a process, of some of which one does. survives: whether a process outlives the work on some.

    A single image is tried twice, since a process may also end for reasons of its own.

    >>> find_poison(lambda some: 3 not in some, range(8))
    [3]
    """
    if survives(numbers):
        return []
    if len(numbers) == 1:
        return [] if survives(numbers) else list(numbers)
    half = len(numbers) // 2
    return [*find_poison(survives, numbers[:half]), *find_poison(survives, numbers[half:])]


def suspects(count: int, behind: int, known: Sequence[int], all_of_them: bool) -> list[int]:
    """The images of a shard that may have ended a process. count: of the shard. behind: those that it was done with.
    known: those that are found already. all_of_them: whether the near ones turned out to be good."""
    end = count if all_of_them else min(count, behind + WINDOW)
    return [number for number in range(0 if all_of_them else behind, end) if number not in known]
