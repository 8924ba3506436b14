"""What a run may write, and who else may not meanwhile."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lightpose.errors import ConfigError
from lightpose.io.places import Place, alone_in, check_apart, check_own, claimed, with_bin


def test_one_file_by_other_names_is_the_same_file(tmp_path: Path):
    read = tmp_path / "a.json"
    read.touch()
    (tmp_path / "link").symlink_to("a.json")
    os.link(read, tmp_path / "hard")
    (tmp_path / "folder").symlink_to(".")
    for same in ("a.json", "link", "hard", "folder/a.json", "folder/./a.json"):
        with pytest.raises(ConfigError, match=rf"--out {tmp_path}/.* would overwrite --boxes .*a\.json"):
            check_apart([Place("--boxes", read)], [Place("--out", tmp_path / same)])
    check_apart([Place("--boxes", read), Place("--images", tmp_path)], [Place("--out", tmp_path)])
    check_apart([Place("--boxes", tmp_path / "none")], [Place("--out", tmp_path / "none")])


def test_two_outputs_are_two_files_even_before_there_are_any(tmp_path: Path):
    (tmp_path / "folder").symlink_to(".")
    with pytest.raises(ConfigError, match=r"--b .* and --a .* are one file; name two"):
        check_apart([], [Place("--a", tmp_path / "x"), Place("--b", tmp_path / "folder/x")])
    check_apart([], [Place("--a", tmp_path / "x"), Place("--b", tmp_path / "y")])


def test_a_bin_belongs_to_an_xml():
    assert [str(place) for place in with_bin(Place("--out", Path("a.xml")))] == [
        "--out a.xml",
        "the .bin of --out a.xml, a.bin",
    ]
    assert len(with_bin(Place("--out", Path("a.onnx")))) == 1


def test_files_written_in_place_are_nobody_elses(tmp_path: Path):
    precious = tmp_path / "precious"
    precious.write_text("1")
    os.link(precious, tmp_path / "hard")
    (tmp_path / "link").symlink_to("precious")
    (tmp_path / "dangling").symlink_to("none")
    os.mkfifo(tmp_path / "pipe")
    for name in ("hard", "link", "dangling", "pipe"):
        with pytest.raises(ConfigError, match=f"{name} is a link, or .*; remove it"):
            check_own(tmp_path / name)
    check_own(tmp_path / "none")
    (tmp_path / "hard").unlink()
    check_own(precious)


def test_a_planted_lock_is_not_followed(tmp_path: Path):
    precious = tmp_path / "precious"
    precious.write_text("1")
    (tmp_path / "lock").symlink_to("precious")
    with pytest.raises(ConfigError, match="remove it"), alone_in(tmp_path, "lock", "--out"):
        pass
    assert precious.read_text() == "1"


def test_a_file_that_another_run_writes_is_refused_and_a_killed_ones_claim_is_free(tmp_path: Path):
    place = Place("--out", tmp_path / "a.json")
    code = (
        "import sys, time, os, signal; from pathlib import Path; from lightpose.io.places import Place, claimed\n"
        f"with claimed(Place('', Path({str(place.path)!r}))):\n"
        "    print('claimed', flush=True); sys.stdin.read(1); os.kill(os.getpid(), signal.SIGKILL)"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdin is not None
    assert other.stdout is not None
    with other:
        other.stdout.readline()
        with pytest.raises(ConfigError, match=r"another run is writing to .*a\.json; wait for it"), claimed(place):
            pass
        with claimed(Place("--out", tmp_path / "a.json.csv")):
            pass
        other.stdin.write(b"x")
    assert len(list(tmp_path.iterdir())) == 1, "the claim of the killed one"
    with claimed(place):
        assert len(list(tmp_path.iterdir())) == 1, "mine alone"
    assert not list(tmp_path.iterdir())
