"""The figures of a run, scraped from the real endpoint while it works."""

import socket
import urllib.request
from pathlib import Path

import pytest

from lightpose.cli import main
from lightpose.errors import ConfigError
from lightpose.scale.bulk import Progress, run_bulk
from lightpose.scale.local import LocalEngine
from lightpose.scale.metrics import read_address, watched
from tests.scale.small import draw_images, tiny_network, tiny_settings

pytest.importorskip("onnx")
parser = pytest.importorskip("prometheus_client.parser")


def scraped(where: str) -> dict[tuple[str, str], float]:
    """The figures at an address, by name and status."""
    with urllib.request.urlopen(where, timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        text = answer.read().decode()
    return {
        (sample.name, sample.labels.get("status", "")): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9100", ("127.0.0.1", 9100)),
        ("0.0.0.0:9100", ("0.0.0.0", 9100)),
        ("[::1]:0", ("::1", 0)),
        ("localhost:1", ("localhost", 1)),
    ],
)
def test_a_port_alone_is_of_this_computer(text: str, address: tuple[str, int]):
    assert read_address(text) == address


@pytest.mark.parametrize("text", ["", "many", "-1", "65536", ":9100", "host:", "9100:host"])
def test_what_is_no_address_is_refused(text: str):
    with pytest.raises(ConfigError, match="--metrics must be a port such as 9100"), watched(text, lambda _: None):
        pass


def test_figures_are_those_that_were_told_last_and_end_with_the_run():
    told: list[Progress] = []
    with watched("0", told.append) as (tell, where):
        assert where.startswith("http://127.0.0.1:")
        assert scraped(where)["lightpose_bulk_images", ""] == 0
        now = Progress(30, 90, 10, {"missing": 2, "poison": 1}, 44, 3, 9, 10.0)
        tell(now)
        assert scraped(where) == {
            ("lightpose_bulk_images", ""): 90,
            ("lightpose_bulk_images_done_total", ""): 30,
            ("lightpose_bulk_failed_total", "missing"): 2,
            ("lightpose_bulk_failed_total", "poison"): 1,
            ("lightpose_bulk_people_total", ""): 44,
            ("lightpose_bulk_shards_done_total", ""): 3,
            ("lightpose_bulk_shards_left", ""): 6,
            ("lightpose_bulk_images_per_second", ""): 2,
            ("lightpose_bulk_seconds_left", ""): 30,
        }
    assert told == [now]
    with pytest.raises(OSError, match="refused"):
        scraped(where)
    with watched(None, told.append) as (tell, where):
        tell(now)
    assert (told, where) == ([now, now], "")


@pytest.mark.slow
def test_a_run_is_scraped_while_it_works(tmp_path: Path):
    folder, found = draw_images(tmp_path / "in", 40, broken=4), []
    with watched("0", lambda _: found.append(scraped(where))) as (tell, where):
        settings = tiny_settings(tmp_path / "networks", shard=10)
        report = run_bulk([str(folder)], str(tmp_path / "out"), settings, LocalEngine(1, 1), progress=tell)
    done = [each["lightpose_bulk_shards_done_total", ""] for each in found]
    assert (done[0], done[-1], done == sorted(done)) == (0, 4, True)
    assert {0, 1, 2, 3, 4} == set(done)
    last = found[-1]
    assert last["lightpose_bulk_images", ""] == last["lightpose_bulk_images_done_total", ""] == 40
    assert last["lightpose_bulk_failed_total", "unreadable"] == report.failed == 4
    assert (last["lightpose_bulk_people_total", ""], last["lightpose_bulk_shards_left", ""]) == (report.people, 0)
    assert last["lightpose_bulk_images_per_second", ""] > 0
    assert last["lightpose_bulk_seconds_left", ""] == 0


def test_a_port_in_use_is_one_sentence_before_anything_is_written(tmp_path: Path, capsys: pytest.CaptureFixture):
    folder, network = draw_images(tmp_path / "in", 2), tiny_network(tmp_path / "networks")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = ["bulk", folder, "--out", tmp_path / "out", "--model", network.model, "--metrics", port]
        with pytest.raises(SystemExit) as ended:
            main([*map(str, words)])
    errors = capsys.readouterr().err
    assert ended.value.code == 2
    assert f"--metrics cannot listen on 127.0.0.1:{port} (Address already in use); give another port" in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_command_says_where_the_figures_are(tmp_path: Path, capsys: pytest.CaptureFixture):
    folder, network = draw_images(tmp_path / "in", 2), tiny_network(tmp_path / "networks")
    words = ["bulk", folder, "--out", tmp_path / "out", "--model", network.model, "--detector", network.detector]
    with pytest.raises(SystemExit) as ended:
        main([*map(str, words), "--metrics", "0", "--workers", "1"])
    assert ended.value.code == 0
    assert "lightpose: figures for Prometheus are at http://127.0.0.1:" in capsys.readouterr().err
