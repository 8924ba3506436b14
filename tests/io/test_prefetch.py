"""Work in a thread beside the caller: order, bounds, errors and ends."""

import threading
import time
from collections.abc import Callable
from contextlib import closing

import pytest

from lightpose.io.prefetch import ahead, behind

WAIT_S = 20
"""Longer than any of this takes; only a fault waits for it."""


def uneven(number: int) -> int:
    time.sleep(0.002 * (number % 3))
    return number**2


def wait_until(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.001)


def workers() -> int:
    return sum(thread.name.startswith("overlap") for thread in threading.enumerate())


@pytest.mark.parametrize("overlap", [ahead, behind])
@pytest.mark.parametrize(("count", "limit"), [(1, 1), (3, 10**9), (100, 5), (100, 10**9)])
def test_results_come_in_order_as_without_a_thread(overlap, count, limit):
    assert list(overlap(uneven, range(20), count, limit, lambda _: 3)) == [uneven(number) for number in range(20)]
    assert list(overlap(uneven, [], count, limit, lambda _: 3)) == []


def test_the_next_is_made_while_the_caller_has_the_last():
    begun = [threading.Event() for _ in range(4)]

    def work(number: int) -> int:
        begun[number].set()
        return number

    with closing(ahead(work, range(4), 2, 10**9, lambda _: 0)) as made:
        assert next(made) == 0
        assert begun[1].wait(WAIT_S)
        assert begun[2].wait(WAIT_S)
        assert not begun[3].is_set(), "two ahead are enough"


def test_none_is_begun_once_what_is_ahead_is_large_enough():
    begun: list[int] = []
    with closing(ahead(lambda n: begun.append(n) or n, range(50), 50, 15, lambda _: 10)) as made:
        assert next(made) == 0
        wait_until(lambda: len(begun) >= 3)  # the one that was taken, and two of 10 that wait
        time.sleep(0.05)
        assert begun == [0, 1, 2]
    assert workers() == 0, "closing lets go of a thread that waits for room"


def test_the_last_is_worked_on_while_the_next_comes():
    done = [threading.Event() for _ in range(3)]

    def items():
        for number in range(3):
            assert number == 0 or done[number - 1].wait(WAIT_S)
            yield number

    def work(number: int) -> int:
        done[number].set()
        return number

    assert list(behind(work, items(), 3, 10**9, lambda _: 0)) == [0, 1, 2]


@pytest.mark.parametrize(("count", "limit", "most"), [(4, 10**9, 4), (100, 30, 3), (100, 5, 1)])
def test_no_more_wait_than_may(count, limit, most):
    """An item is asked for only when there is room for it."""
    finished = 0

    def items():
        for number in range(30):
            assert number - finished <= most
            yield number

    for _ in behind(uneven, items(), count, limit, lambda _: 10):
        finished += 1
    assert finished == 30


@pytest.mark.parametrize("overlap", [ahead, behind])
def test_an_error_comes_in_its_place_and_ends_the_thread(overlap):
    found = overlap(lambda number: 1 // (3 - number), range(9), 9, 10**9, lambda _: 0)
    assert [next(found) for _ in range(3)] == [0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(found)
    assert workers() == 0


@pytest.mark.parametrize("overlap", [ahead, behind])
def test_closing_drops_what_was_not_begun(overlap):
    begun: list[int] = []
    gate = threading.Event()

    def work(number: int) -> int:
        begun.append(number)
        assert number == 0 or gate.wait(WAIT_S)
        return number

    found = overlap(work, range(9), 4, 10**9, lambda _: 0)
    assert next(found) == 0
    wait_until(lambda: len(begun) == 2)
    threading.Timer(0.05, gate.set).start()
    found.close()
    assert begun == [0, 1]
    assert workers() == 0
