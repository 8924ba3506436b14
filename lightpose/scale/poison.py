"""Which images of a shard end the process that works on them: found by doing the suspects one at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = ["WINDOW", "find_poison", "suspects"]

WINDOW = 48
"""Images after the last one that was told of, among which the work may have been: fetched, decoded, or in a batch."""


def find_poison(first_death: Callable[[Sequence[int]], int | None], numbers: Sequence[int]) -> list[int]:
    """The images that end a process. first_death: does some images, one at a time, and tells at which of them the
    process ended; None if it did not.

    Each that is found is tried again alone, since a process may also end for reasons of its own.

    >>> find_poison(lambda some: next((number for number in some if number in (3, 5)), None), range(8))
    [3, 5]
    """
    found, left = [], list(numbers)
    while left and (number := first_death(left)) is not None:
        if first_death([number]) is not None:
            found.append(number)
        left = [other for other in left if other > number]
    return found


def suspects(count: int, behind: int, known: Sequence[int], all_of_them: bool) -> list[int]:
    """The images of a shard that may have ended a process, rising. count: of the shard. behind: those that it was done
    with. known: those that are found already. all_of_them: whether the near ones turned out to be good."""
    end = count if all_of_them else min(count, behind + WINDOW)
    return [number for number in range(0 if all_of_them else behind, end) if number not in known]
