"""Building a crop store: once, whole, taken up where it was broken off, and mended where it was damaged."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lightpose.data.coco import read_coco
from lightpose.data.crops import open_store
from lightpose.data.stored import read_labelled
from lightpose.errors import ImageError
from lightpose.skeletons import COCO17
from tests.helpers import DrawnSet, draw_set

pytest.importorskip("filelock")

INPUT_HW = (64, 48)


@pytest.fixture
def source(drawn):
    return read_coco(drawn.annotations, drawn.images)


def opened(source, folder, progress=lambda *_: None, **settings):
    return open_store(source, COCO17, INPUT_HW, folder, progress, **settings)


def contents(folder):
    """The arrays of the one store there."""
    (store,) = folder.iterdir()
    return np.load(store / "crops.npy"), np.load(store / "checksums.npy")


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """A set of 150 pictures with a person each, which are cut in three chunks; its folder, and the crops as they should
    be."""
    folder = tmp_path_factory.mktemp("crowd")
    drawn = draw_set(folder / "drawn", (1,) * 150, joints=COCO17.joints[:3])
    store = opened(read_coco(drawn.annotations, drawn.images), folder / "store")
    return drawn, np.array(store.crops)


@pytest.fixture
def own_crowd(crowd, tmp_path):
    """A copy of the set that a test may spoil."""
    shutil.copytree(crowd[0].annotations.parent, tmp_path / "crowd")
    return DrawnSet(tmp_path / "crowd" / "people.json", tmp_path / "crowd" / "images")


def test_a_store_is_built_once(source, tmp_path):
    calls = []
    first = opened(source, tmp_path / "store", lambda *done: calls.append(done))
    assert calls[-1] == (4, 4)
    before = contents(tmp_path / "store")
    shutil.rmtree(source.images)
    for verify in (True, False):
        second = opened(source, tmp_path / "store", verify=verify)
        np.testing.assert_array_equal(first.crops, second.crops)
        np.testing.assert_array_equal(first.points, second.points)
    for found, expected in zip(contents(tmp_path / "store"), before, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_progress_counts_the_persons_up_to_all_of_them(crowd, own_crowd, tmp_path):
    source, built, compared = read_coco(own_crowd.annotations, own_crowd.images), [], []
    opened(source, tmp_path / "store", lambda *done: built.append(done))
    assert built == [(64, 150), (128, 150), (150, 150)]
    opened(source, tmp_path / "store", lambda *done: compared.append(done))
    assert compared == [(number, 150) for number in range(1, 151)]
    np.testing.assert_array_equal(contents(tmp_path / "store")[0], crowd[1])


def test_each_crop_has_its_checksum(source, tmp_path):
    """CRC-32 and one, so that none is 0, which stands for a crop that is yet to be cut."""
    opened(source, tmp_path / "store")
    crops, checksums = contents(tmp_path / "store")
    assert checksums.tolist() == [zlib.crc32(crop.tobytes()) + 1 for crop in crops]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_build_is_taken_up_where_it_was(crowd, own_crowd, tmp_path, interruption):
    """Interrupted after 64 of 150 pictures, which are deleted then: they are not needed again."""

    def interrupt(_done, _total):
        raise interruption

    source = read_coco(own_crowd.annotations, own_crowd.images)
    with pytest.raises(interruption):
        opened(source, tmp_path / "store", interrupt)
    assert np.count_nonzero(contents(tmp_path / "store")[1]) == 64
    for person in source.persons()[:64]:
        person.image_path.unlink()
    steps = []
    store = opened(source, tmp_path / "store", lambda *done: steps.append(done))
    assert steps[-2:] == [(128, 150), (150, 150)]
    np.testing.assert_array_equal(store.crops, crowd[1])


CHILD = """
import os, signal, sys, time
from pathlib import Path
from lightpose.data.coco import read_coco
from lightpose.data.crops import open_store
from lightpose.skeletons import COCO17

annotations, images, folder, kill_at = sys.argv[1:]

def progress(done, total):
    if done == int(kill_at):
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)  # so that another process has time to meddle

store = open_store(read_coco(annotations, images), COCO17, (64, 48), Path(folder), progress, verify=False)
print(len(store), int(store.crops.astype(int).sum()))
"""


def child(drawn, folder, kill_at):
    arguments = [str(drawn.annotations), str(drawn.images), str(folder), str(kill_at)]
    root = Path(__file__).parents[2]
    return subprocess.Popen([sys.executable, "-c", CHILD, *arguments], stdout=subprocess.PIPE, text=True, cwd=root)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_build_is_taken_up_where_it_was(crowd, own_crowd, tmp_path):
    """A process that is killed outright leaves its lock and whatever it had not yet written."""
    process = child(own_crowd, tmp_path / "store", kill_at=128)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert np.count_nonzero(contents(tmp_path / "store")[1]) == 128
    source = read_coco(own_crowd.annotations, own_crowd.images)
    for person in source.persons()[:128]:
        person.image_path.unlink()
    np.testing.assert_array_equal(opened(source, tmp_path / "store").crops, crowd[1])


def test_two_processes_that_build_at_once_end_with_one_right_store(crowd, tmp_path):
    drawn, crops = crowd
    processes = [child(drawn, tmp_path / "store", kill_at=-1) for _ in range(2)]
    answers = [process.communicate()[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert answers == [["150", str(crops.astype(int).sum())]] * 2
    np.testing.assert_array_equal(contents(tmp_path / "store")[0], crops)


def test_who_comes_while_another_builds_waits_and_finds_nothing_to_do(source, tmp_path):
    begun, go_on, told = threading.Event(), threading.Event(), []

    def hold(_done, _total):
        begun.set()
        go_on.wait(60)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(opened, source, tmp_path / "store", hold)
        assert begun.wait(60)
        second = pool.submit(opened, source, tmp_path / "store", lambda *done: told.append(done), verify=False)
        with pytest.raises(TimeoutError):
            second.result(0.3)
        go_on.set()
        np.testing.assert_array_equal(first.result(60).crops, second.result(60).crops)
    assert told == []


def test_a_missing_picture_is_named_and_the_build_goes_on_once_it_is_there(source, drawn, tmp_path):
    picture = drawn.images / "0002.png"
    content = picture.read_bytes()
    picture.unlink()
    with pytest.raises(ImageError, match=r"cannot read .*0002\.png"):
        opened(source, tmp_path / "store")
    assert (contents(tmp_path / "store")[1] > 0).tolist() == [True, False, False, True]
    picture.write_bytes(content)
    assert len(opened(source, tmp_path / "store")) == 4


@pytest.mark.parametrize("row", [0, 2, 3])
def test_a_crop_of_which_a_byte_has_changed_is_cut_again(source, tmp_path, row):
    expected = np.array(opened(source, tmp_path / "store").crops)
    (store,) = (tmp_path / "store").iterdir()
    crops = np.lib.format.open_memmap(store / "crops.npy", mode="r+")
    crops[row, 50, 40, 1] ^= 1
    crops.flush()
    trusting = opened(source, tmp_path / "store", verify=False)
    assert (trusting.crops != expected).sum() == 1
    steps = []
    np.testing.assert_array_equal(opened(source, tmp_path / "store", lambda *n: steps.append(n)).crops, expected)
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4), (4, 4)], "four compared, then one cut"
    np.testing.assert_array_equal(opened(source, tmp_path / "store", verify=False).crops, expected)


def damage_file(path, damage):
    whole = path.read_bytes()
    array = np.load(path)
    if damage == "other shape":
        np.save(path, array[:-1])
    elif damage == "other kind":
        np.save(path, array.astype(np.float32))
    else:
        path.write_bytes(
            {
                "missing": b"",
                "empty": b"",
                "cut short": whole[: (128 + len(whole)) // 2],
                "half a header": whole[:40],
                "no array": b"PK\x03\x04 something else",
                "a wild header": whole[:10] + b"(" + whole[11:],
            }[damage]
        )
        if damage == "missing":
            path.unlink()


DAMAGES = ["missing", "empty", "cut short", "half a header", "no array", "a wild header", "other shape", "other kind"]


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["crops.npy", "checksums.npy"])
def test_a_store_with_a_damaged_file_is_built_again(source, tmp_path, name, damage, verify):
    """Even where nobody asks for a comparison: a file that was cut short must not end as black pictures."""
    expected = np.array(opened(source, tmp_path / "store").crops)
    (store,) = (tmp_path / "store").iterdir()
    damage_file(store / name, damage)
    np.testing.assert_array_equal(opened(source, tmp_path / "store", verify=verify).crops, expected)
    crops, checksums = contents(tmp_path / "store")
    np.testing.assert_array_equal(crops, expected)
    assert checksums.tolist() == [zlib.crc32(crop.tobytes()) + 1 for crop in expected]


def test_checksums_that_are_noise_cost_a_build_and_no_more(source, tmp_path):
    expected = np.array(opened(source, tmp_path / "store").crops)
    (store,) = (tmp_path / "store").iterdir()
    np.save(store / "checksums.npy", np.random.default_rng(0).integers(-(2**62), 2**62, 4))
    np.testing.assert_array_equal(opened(source, tmp_path / "store").crops, expected)
    assert contents(tmp_path / "store")[1].tolist() == [zlib.crc32(crop.tobytes()) + 1 for crop in expected]


def test_a_store_can_be_read_while_it_is_opened_again(source, tmp_path):
    """A run that has begun is not disturbed by the next that compares the same crops."""
    first = opened(source, tmp_path / "store")
    before = np.array(first.crops)
    opened(source, tmp_path / "store")
    np.testing.assert_array_equal(first.crops, before)
    assert not first.crops.flags.writeable


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="room is reserved on Linux alone")
def test_the_room_on_the_disk_is_taken_before_the_first_picture_is_read(source, tmp_path, monkeypatch):
    taken = []

    def read(*arguments, **settings):
        (store,) = tmp_path.glob("store/*")
        taken.append((store / "crops.npy").stat().st_blocks * 512)
        return read_labelled(*arguments, **settings)

    monkeypatch.setattr("lightpose.data.crops.read_labelled", read)
    crops = opened(source, tmp_path / "store").crops
    assert min(taken) >= crops.nbytes


SMALL_DISK = """
mount -t tmpfs -o size=64k none disk || exit 77
exec "$0" -c '
from pathlib import Path
from lightpose.data.store import open_pixels
import numpy as np
open_pixels(Path("disk/store"), list(range(50)), 64, lambda rows: np.ones((1, 64, 64, 3), np.uint8), print, True)'
"""


def test_a_store_that_does_not_fit_on_the_disk_is_an_error_and_leaves_the_room_free(tmp_path):
    """Written without room, a memory-mapped file ends the process by a signal."""
    (tmp_path / "disk").mkdir()
    if shutil.which("unshare") is None:
        pytest.skip("needs a disk of its own, through unshare")
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", SMALL_DISK, sys.executable]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("needs a disk of its own, which is not permitted here")
    assert done.returncode == 1
    assert "crops.npy takes 0.00057 GiB, more than its disk has free" in done.stderr


def test_all_broken_pictures_are_named_together_and_the_others_are_kept(own_crowd, tmp_path):
    """The first five by name."""
    names = sorted(path.name for path in own_crowd.images.iterdir())[10:17]
    whole = {name: (own_crowd.images / name).read_bytes() for name in names}
    for name in names:
        (own_crowd.images / name).write_bytes(whole[name][:-40])
    with pytest.raises(ImageError, match=r"^7 images cannot be used: .*; and 2 more\. Mend them") as raised:
        opened(read_coco(own_crowd.annotations, own_crowd.images), tmp_path / "store")
    assert [name in str(raised.value) for name in names] == [True] * 5 + [False] * 2
    assert np.count_nonzero(contents(tmp_path / "store")[1]) == 150 - 7
    for name in names:
        (own_crowd.images / name).write_bytes(whole[name])
    opened(read_coco(own_crowd.annotations, own_crowd.images), tmp_path / "store")
    assert np.count_nonzero(contents(tmp_path / "store")[1]) == 150
