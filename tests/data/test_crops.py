"""The crop store: what is in it, and that it is built once and whole."""

import json
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
from lightpose.data.crops import STORE_MARGIN, open_store
from lightpose.errors import DataError, ImageError
from lightpose.geometry import crop_matrices, transform_points
from lightpose.images import read_image
from lightpose.skeletons import COCO17, LSP14, Skeleton
from tests.helpers import DrawnSet, draw_set

pytest.importorskip("filelock")

INPUT_HW = (64, 48)
SIDE = 96  # one and a half times the input's height


@pytest.fixture
def source(drawn):
    return read_coco(drawn.annotations, drawn.images)


def store_matrix(box_xywh, aspect):
    """Picture → stored crop, by hand: the padded box's centre to the middle, 1.5 times its height over SIDE pixels."""
    x, y, w, h = box_xywh
    height = 1.25 * max(h, w / aspect)
    scale = SIDE / (1.5 * height)
    center_x, center_y = x + w / 2, y + h / 2
    return np.array([[scale, 0, SIDE / 2 - scale * center_x], [0, scale, SIDE / 2 - scale * center_y]])


def bilinear(image, x, y):
    """Value of an image at a point, black outside."""
    total = np.zeros(3)
    for row in (int(np.floor(y)), int(np.floor(y)) + 1):
        for column in (int(np.floor(x)), int(np.floor(x)) + 1):
            if 0 <= row < image.shape[0] and 0 <= column < image.shape[1]:
                total += image[row, column] * (1 - abs(y - row)) * (1 - abs(x - column))
    return total


@pytest.mark.parametrize(("geometry", "aspect"), [("msra", 48 / 64), ("udp", 47 / 63)])
def test_a_stored_crop_shows_the_picture_around_the_person(source, tmp_path, geometry, aspect):
    store = open_store(source, COCO17, INPUT_HW, geometry, tmp_path / "store")
    assert store.crops.shape == (4, SIDE, SIDE, 3)
    assert store.crops.dtype == np.uint8
    generator = np.random.default_rng(0)
    for crop, person in zip(store.crops, source.persons(), strict=True):
        picture = read_image(person.image_path).astype(float)
        matrix = store_matrix(person.box_xywh, aspect)
        places = generator.integers(0, SIDE, (150, 2))
        seen = (places - matrix[:, 2]) / matrix[0, 0]
        expected = np.array([bilinear(picture, x, y) for x, y in seen])
        found = crop[places[:, 1], places[:, 0]]
        difference = np.abs(
            found - expected
        )  # OpenCV samples at 32nds of a pixel, so edges of 255 may differ by some 8
        assert difference.max() <= 10
        assert difference.mean() < 0.5


@pytest.mark.parametrize(("geometry", "aspect"), [("msra", 48 / 64), ("udp", 47 / 63)])
def test_points_are_where_the_stored_crop_shows_them(source, tmp_path, geometry, aspect):
    store = open_store(source, COCO17, INPUT_HW, geometry, tmp_path / "store")
    for points, visibility, person in zip(store.points, store.visibility, source.persons(), strict=True):
        matrix = store_matrix(person.box_xywh, aspect)
        np.testing.assert_allclose(points, person.keypoints @ matrix[:, :2].T + matrix[:, 2], atol=1e-3)
        assert (visibility == 2).all()


@pytest.mark.parametrize("geometry", ["msra", "udp"])
def test_the_region_of_a_stored_crop_is_the_networks_crop(source, tmp_path, geometry):
    """A point on the edge of the network's crop is on the edge of the store's region."""
    store = open_store(source, COCO17, INPUT_HW, geometry, tmp_path / "store")
    less = 1 if geometry == "udp" else 0
    corners = np.array([[[0, 0], [INPUT_HW[1] - less, INPUT_HW[0] - less]]])
    for person in source.persons():
        matrix = crop_matrices(person.box_xywh, INPUT_HW, geometry)[0]
        in_picture = (corners[0] - matrix[:, 2]) / matrix[0, 0]
        stored = transform_points(
            in_picture[None], store_matrix(person.box_xywh, (48 - less) / (64 - less))[None].astype(float)
        )[0]
        np.testing.assert_allclose(stored.mean(0), SIDE / 2, atol=1e-3)
        np.testing.assert_allclose(stored[1] - stored[0], store.region, atol=1e-3)


def test_the_margin_leaves_room_for_the_paper_views():
    assert round(INPUT_HW[0] * STORE_MARGIN) == SIDE


def opened(source, folder, progress=lambda *_: None, **settings):
    return open_store(source, COCO17, INPUT_HW, "msra", folder, progress, **settings)


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


def test_what_the_crops_depend_on_gives_a_store_another_place(source, drawn, tmp_path):
    folder = tmp_path / "store"

    def stores():
        return len(list(folder.iterdir()))

    opened(source, folder)
    open_store(source, COCO17, INPUT_HW, "udp", folder)
    open_store(source, COCO17, (96, 64), "msra", folder)
    assert stores() == 3
    document = json.loads(drawn.annotations.read_text())
    document["annotations"][0]["bbox"][0] += 5
    drawn.annotations.write_text(json.dumps(document))
    opened(read_coco(drawn.annotations, drawn.images), folder)
    assert stores() == 4
    drawn.images.rename(tmp_path / "moved")
    opened(read_coco(drawn.annotations, tmp_path / "moved"), folder)
    assert stores() == 5


def test_a_set_that_is_labelled_anew_in_the_same_boxes_keeps_its_crops(source, drawn, tmp_path):
    """Nothing is read again: the pictures are gone. Other joints of a model need no other crops either."""
    folder = tmp_path / "store"
    first = opened(source, folder)
    document = json.loads(drawn.annotations.read_text())
    document["annotations"][0]["keypoints"][0] += 5
    document["annotations"][1]["keypoints"][5] = 1
    drawn.annotations.write_text(json.dumps(document))
    for picture in drawn.images.iterdir():
        picture.unlink()
    relabelled = read_coco(drawn.annotations, drawn.images)
    second, other = opened(relabelled, folder), open_store(relabelled, LSP14, INPUT_HW, "msra", folder)
    assert len(list(folder.iterdir())) == 1
    scale = store_matrix(source.persons()[0].box_xywh, 48 / 64)[0, 0]
    assert second.points[0, 0, 0] - first.points[0, 0, 0] == pytest.approx(5 * scale, abs=1e-4)
    assert (first.visibility[1, 1], second.visibility[1, 1]) == (2, 1)
    np.testing.assert_array_equal(second.crops, first.crops)
    assert other.points.shape == (4, 14, 2)


def test_pictures_may_be_named_by_their_whole_path(source, drawn, tmp_path):
    expected = opened(source, tmp_path / "store")
    document = json.loads(drawn.annotations.read_text())
    for picture in document["images"]:
        picture["file_name"] = str(drawn.images / picture["file_name"])
    drawn.annotations.write_text(json.dumps(document))
    (tmp_path / "elsewhere").mkdir()
    found = opened(read_coco(drawn.annotations, tmp_path / "elsewhere"), tmp_path / "store")
    np.testing.assert_array_equal(found.crops, expected.crops)


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

store = open_store(read_coco(annotations, images), COCO17, (64, 48), "msra", Path(folder), progress, verify=False)
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
    assert not contents(tmp_path / "store")[1].any(), "a chunk that was not finished does not count"
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


def test_joints_are_stored_in_the_models_order_and_those_the_set_lacks_have_no_weight(tmp_path):
    drawn = draw_set(tmp_path / "drawn", (1, 1), joints=("right_wrist", "nose", "left_wrist", "neck"))
    source = read_coco(drawn.annotations, drawn.images)
    skeleton = Skeleton("mine", ("nose", "tail", "left_wrist", "right_wrist"))
    store = open_store(source, skeleton, INPUT_HW, "msra", tmp_path / "store")
    assert store.visibility.tolist() == [[2, 0, 2, 2]] * 2
    for points, person in zip(store.points, source.persons(), strict=True):
        matrix = store_matrix(person.box_xywh, 48 / 64)
        mapped = person.keypoints @ matrix[:, :2].T + matrix[:, 2]
        np.testing.assert_allclose(points[[0, 2, 3]], mapped[[1, 2, 0]], atol=1e-3)


def test_hidden_and_unlabelled_joints_keep_their_visibility(drawn, tmp_path):
    document = json.loads(drawn.annotations.read_text())
    document["annotations"][0]["keypoints"][2::3] = [0, 1, 2] * 5 + [0, 1]
    drawn.annotations.write_text(json.dumps(document))
    store = open_store(read_coco(drawn.annotations, drawn.images), COCO17, INPUT_HW, "msra", tmp_path / "store")
    assert store.visibility[0].tolist() == [0, 1, 2] * 5 + [0, 1]


def test_a_set_without_a_usable_person_is_refused(tmp_path):
    drawn = draw_set(tmp_path / "drawn", people=(0, 0))
    with pytest.raises(DataError, match=r"people\.json has no person with a labelled keypoint and a box"):
        open_store(read_coco(drawn.annotations, drawn.images), COCO17, INPUT_HW, "msra", tmp_path / "store")


def test_the_persons_of_a_real_set_are_stored_whole(real_data, tmp_path):
    folder = real_data / "coco_keypoints"
    source = read_coco(folder / "train.json", folder / "train2017")
    store = open_store(source, COCO17, INPUT_HW, "udp", tmp_path / "store")
    assert len(store) == 86
    labelled = store.visibility > 0
    assert labelled.sum() == sum((person.visibility > 0).sum() for person in source.persons())
    assert ((store.points >= 0) & (store.points < SIDE)).all(-1)[labelled].mean() > 0.99
    assert (store.crops.reshape(86, -1).std(1) > 5).all(), "every crop shows something"
