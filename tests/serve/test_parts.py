"""Amounts, settings and room: the parts that need no server."""

import asyncio

import pytest

from lightpose.errors import BoxesError, ConfigError, ImageError, MissingPackageError, WeightsError
from lightpose.serve.problems import ProblemError, problem_of
from lightpose.serve.room import Room
from lightpose.serve.settings import Settings, read_amount


@pytest.mark.parametrize(
    ("text", "amount"),
    [("20MB", 20_000_000), ("50M", 50_000_000), ("4096", 4096), ("1.5 kb", 1500), ("2g", 2 * 10**9), (" 7 ", 7)],
)
def test_amounts(text, amount):
    assert read_amount(text, "--max") == amount


@pytest.mark.parametrize("text", ["", "MB", "0", "-1", "1e9", "nan", "20 TB", "9" * 40, "0.1"])
def test_what_is_no_amount_is_refused_by_its_option(text):
    with pytest.raises(ConfigError, match="--max must be an amount"):
        read_amount(text, "--max")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost", "LOCALHOST"])
def test_this_computer_alone_needs_no_token(host):
    assert Settings(host=host).token is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", ""])
def test_where_others_reach_it_a_token_is_needed_or_a_word(host):
    with pytest.raises(ConfigError, match="--token"):
        Settings(host=host)
    assert Settings(host=host, open_to_all=True)
    assert Settings(host=host, token="correct-horse")


def test_errors_become_problems_that_tell_whose_fault_it_was():
    errors = [
        ImageError("a"),
        BoxesError("b"),
        ConfigError("c"),
        MissingPackageError("PyAV", "video"),
        WeightsError("/w"),
    ]
    assert [problem_of(error).status for error in errors] == [422, 422, 422, 501, 500]
    assert "/w" not in problem_of(errors[-1]).detail
    assert problem_of(errors[0]).document() == {
        "type": "about:blank", "title": "Unprocessable Entity", "status": 422, "detail": "a",
    }  # fmt: skip


def test_room_is_for_so_many_images_and_bytes_and_for_one_of_any_size():
    async def run() -> None:
        room = Room(2, most_bytes=100)
        async with room.place(1000):
            with pytest.raises(ProblemError, match="no room for another"):
                room.check(1)
        async with room.place(60):
            with pytest.raises(ProblemError):
                async with room.place(41):
                    pass
            async with room.place(40):
                assert (room.count, room.held) == (2, 100)
                with pytest.raises(ProblemError) as full:
                    room.check(0)
                assert (full.value.status, full.value.headers) == (503, {"Retry-After": "1"})
        assert (room.count, room.held) == (0, 0)

    asyncio.run(run())


def test_who_is_patient_gets_a_place_when_there_is_one_and_who_goes_leaves_none_behind():
    async def run() -> None:
        room, order = Room(1), []

        async def wait(name: str) -> None:
            async with room.place(1, patient=True):
                order.append(name)

        async with room.place(1):
            waiting = [asyncio.create_task(wait(name)) for name in "abc"]
            await asyncio.sleep(0)
            waiting[1].cancel()
            await asyncio.sleep(0)
            assert order == []
        await asyncio.gather(*waiting, return_exceptions=True)
        assert sorted(order) == ["a", "c"]
        assert room.count == 0

    asyncio.run(run())


def test_a_missing_package_is_named_with_the_extra_that_brings_it(monkeypatch):
    from lightpose import serve

    serve.check_packages()
    monkeypatch.setattr(serve, "find_spec", lambda name: None if name == "uvicorn" else name)
    with pytest.raises(MissingPackageError, match=r"uvicorn.*lightpose\[serve\]"):
        serve.check_packages()
