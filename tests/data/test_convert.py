"""LSP, LSP-Extended and MPII: small MATLAB files of the shapes of the real ones, and the COCO files made of them."""

import json
import sys

import numpy as np
import pytest

from lightpose.data.check import check_coco
from lightpose.data.coco import read_coco
from lightpose.data.convert import split
from lightpose.data.lsp import read_lsp
from lightpose.data.mpii import read_mpii
from lightpose.errors import ConfigError, DataError, ImageError, MissingPackageError
from lightpose.io.images import encode_image
from lightpose.skeletons import LSP14, MPII16
from tests.helpers import STANDING

savemat = pytest.importorskip("scipy.io").savemat

PLACES = {**STANDING, "pelvis": (0.5, 0.55), "thorax": (0.5, 0.22)}
EMPTY = np.zeros((0, 0))


def pictures(folder, names, size=(300, 200)):
    for name in names:
        (folder / name).write_bytes(encode_image(np.zeros((*size, 3), np.uint8), ".jpg"))
    return folder


def figure(skeleton, left=40.25, top=30.5, width=90, height=200):
    """(K, 2): a standing person."""
    return np.array([PLACES[joint] for joint in skeleton.joints]) * (width, height) + (left, top)


@pytest.fixture
def lsp(tmp_path):
    """Three pictures of LSP; of the second person the right ankle and the head top are hidden."""
    flags = np.zeros((14, 3))
    flags[[0, 13], 1] = 1
    joints = np.stack([np.column_stack([figure(LSP14, left=40 + n), flags[:, n]]).T for n in range(3)], axis=-1)
    assert joints.shape == (3, 14, 3)
    savemat(tmp_path / "joints.mat", {"joints": joints})
    return pictures(tmp_path, [f"im{n:04}.jpg" for n in (1, 2, 3)])


def test_the_flag_of_lsp_marks_hidden_joints(lsp):
    document = read_lsp(lsp / "joints.mat", lsp, "lsp").document
    visibility = [row["keypoints"][2::3] for row in document["annotations"]]
    assert visibility[0] == visibility[2] == [2] * 14
    assert [LSP14.joints[n] for n in range(14) if visibility[1][n] == 1] == ["right_ankle", "head_top"]
    points = np.reshape(document["annotations"][1]["keypoints"], (14, 3))[:, :2]
    np.testing.assert_allclose(points, figure(LSP14, left=41), atol=0.006)


def test_the_flag_of_lsp_extended_marks_labelled_joints(tmp_path):
    joints = np.zeros((14, 3, 2))
    joints[:, :2] = figure(LSP14)[..., None]
    joints[:, 2] = 1
    joints[3, :, 1] = (-500, 7, 0)  # unlabelled: its place means nothing
    savemat(tmp_path / "joints.mat", {"joints": joints})
    pictures(tmp_path, ["im00001.jpg", "im00002.jpg"])
    document = read_lsp(tmp_path / "joints.mat", tmp_path, "lspet").document
    assert [row["num_keypoints"] for row in document["annotations"]] == [14, 13]
    assert document["annotations"][1]["keypoints"][9:12] == [0, 0, 0]
    assert document["annotations"][0]["bbox"] == document["annotations"][1]["bbox"]


def test_a_box_is_the_joints_extent_and_a_margin_cut_off_at_the_border(lsp):
    rows = read_lsp(lsp / "joints.mat", lsp, "lsp").document["annotations"]
    # wrists at shares .04 and .96 of 90 pixels from 40; head top and ankles at 0 and .98 of 200 from 30.5
    left, top, right, bottom = 43.6, 30.5, 126.4, 226.5
    margin = 0.08 * (bottom - top)
    wanted = [left - margin, top - margin, right - left + 2 * margin, bottom - top + 2 * margin]
    assert rows[0]["bbox"] == pytest.approx(wanted, abs=0.011)
    assert rows[0]["area"] == pytest.approx(0.5 * wanted[2] * wanted[3], rel=1e-3)
    pictures(lsp, ["im0001.jpg"], size=(200, 100))
    x, y, w, h = read_lsp(lsp / "joints.mat", lsp, "lsp").document["annotations"][0]["bbox"]
    assert (x + w, y + h) == pytest.approx((100, 200))


def test_an_unlabelled_person_of_lsp_extended_is_left_out_and_counted(tmp_path):
    joints = np.zeros((14, 3, 3))
    joints[:, :, 1] = np.column_stack([figure(LSP14), np.ones(14)])
    joints[4, :, 2] = (50, 60, 1)  # a single joint has no extent
    savemat(tmp_path / "joints.mat", {"joints": joints})
    pictures(tmp_path, [f"im{n:05}.jpg" for n in (1, 2, 3)])
    converted = read_lsp(tmp_path / "joints.mat", tmp_path, "lspet")
    assert [image["id"] for image in converted.document["images"]] == [2]
    assert list(converted.skipped.values()) == [2]


def test_the_two_kinds_of_lsp_are_not_taken_for_each_other(lsp):
    with pytest.raises(DataError, match="holds joints of lsp, not of lspet; convert it as lsp"):
        read_lsp(lsp / "joints.mat", lsp, "lspet")


@pytest.mark.parametrize("joints", [np.zeros((3, 13, 5)), np.zeros(4), "text", np.zeros((2, 14, 3, 1, 2))])
def test_joints_of_another_shape_are_refused(tmp_path, joints):
    savemat(tmp_path / "joints.mat", {"joints": joints})
    with pytest.raises(DataError, match="must hold numbers of shape 3×14×N"):
        read_lsp(tmp_path / "joints.mat", tmp_path, "lsp")


def struct(*rows):
    """A 1×n MATLAB struct array of dicts with equal keys, as savemat writes it."""
    array = np.zeros((1, len(rows)), dtype=[(key, "O") for key in rows[0]])
    for n, values in enumerate(rows):
        array[0, n] = tuple(values.values())
    return array


def rect(points=None, visible=1, scale=1.0, objpos=(85.0, 130.0), head=(60.0, 20.0, 90.0, 50.0)):
    """A person of MPII's: the points, `is_visible`, are given as they come in the real file."""
    point = EMPTY
    if points is not None:
        marks = visible if isinstance(visible, list) else [visible] * len(points)
        point = struct(*[{"x": float(x), "y": float(y), "id": np.uint8(n), "is_visible": mark}
                         for (n, (x, y)), mark in zip(points, marks, strict=True)])  # fmt: skip
    return {
        **dict(zip(("x1", "y1", "x2", "y2"), head or [EMPTY] * 4, strict=True)),
        "annopoints": EMPTY if points is None else struct({"point": point}),
        "scale": EMPTY if scale is None else scale,
        "objpos": EMPTY if objpos is None else struct({"x": objpos[0], "y": objpos[1]}),
    }


BODY = list(enumerate(figure(MPII16)))


def mpii(folder, rects, train=None, names=None):
    """A file of pictures 1.jpg, 2.jpg, … with those persons each."""
    names = names or [f"{n}.jpg" for n in range(1, len(rects) + 1)]
    annolist = struct(*[{"image": struct({"name": name}), "annorect": struct(*people) if people else EMPTY}
                        for name, people in zip(names, rects, strict=True)])  # fmt: skip
    trained = np.array([[1] * len(rects) if train is None else train], np.uint8)
    release = struct({"annolist": annolist, "img_train": trained, "version": "12"})
    savemat(folder / "mpii.mat", {"RELEASE": release})
    pictures(folder, names)
    return folder / "mpii.mat"


def test_mpiis_joints_go_by_their_id_and_count_from_0(tmp_path):
    shuffled = [BODY[n] for n in np.random.default_rng(0).permutation(16)]
    rows = read_mpii(mpii(tmp_path, [[rect(shuffled)]]), tmp_path).document["annotations"]
    points = np.reshape(rows[0]["keypoints"], (16, 3))
    np.testing.assert_allclose(points[:, :2], figure(MPII16) - 1, atol=0.006)
    assert (points[:, 2] == 2).all()


@pytest.mark.parametrize(
    ("mark", "visibility"),
    [("1", 2), ("0", 1), (1, 2), (0, 1), (np.uint8(0), 1), (1.0, 2), (EMPTY, 2), (True, 2), (False, 1), ("", 2)],
)
def test_is_visible_may_be_a_text_a_number_or_nothing(tmp_path, mark, visibility):
    rows = read_mpii(mpii(tmp_path, [[rect(BODY, visible=[mark] * 8 + [1] * 8)]]), tmp_path).document["annotations"]
    assert rows[0]["keypoints"][2::3] == [visibility] * 8 + [2] * 8


def test_mpiis_box_is_the_square_that_simple_baseline_crops(tmp_path):
    """Centre objpos - 1, 15·scale lower; side 200·scale, which the crop's padding of 1.25 enlarges."""
    path = mpii(tmp_path, [[rect(BODY, scale=0.5, objpos=(101, 121))]])
    row = read_mpii(path, tmp_path).document["annotations"][0]
    assert row["bbox"] == pytest.approx([100 - 50, 120 + 7.5 - 50, 100, 100])
    assert row["head_box"] == [59, 19, 30, 30]


def test_the_square_is_clipped_to_the_picture(tmp_path):
    path = mpii(tmp_path, [[rect(BODY, scale=2.0, objpos=(101, 151))]])
    assert read_mpii(path, tmp_path).document["annotations"][0]["bbox"] == [0, 0, 200, 300]


@pytest.mark.parametrize("missing", [{"scale": None}, {"objpos": None}, {"scale": 0.0}])
def test_a_person_without_scale_or_objpos_has_a_box_about_the_joints(tmp_path, missing):
    by_joints = read_mpii(mpii(tmp_path, [[rect(BODY)]]), tmp_path, "joints").document["annotations"][0]
    without = read_mpii(mpii(tmp_path, [[rect(BODY, **missing)]]), tmp_path).document["annotations"][0]
    assert without == by_joints


def test_people_without_joints_are_kept_unlabelled_and_those_without_a_place_are_not(tmp_path):
    path = mpii(tmp_path, [[rect(BODY), rect(None, head=None), rect(None, scale=None), rect(BODY[:1], objpos=None)]])
    rows = read_mpii(path, tmp_path).document["annotations"]
    assert [(row["id"], row["num_keypoints"], "head_box" in row) for row in rows] == [(1, 16, True), (2, 0, False)]
    assert rows[1]["keypoints"] == [0] * 48
    assert rows[1]["area"] > 0


def test_test_pictures_and_empty_ones_are_left_out_and_counted(tmp_path):
    path = mpii(tmp_path, [[rect(BODY)], [rect(BODY)], [], [rect(None, scale=None)], [rect(BODY)]], [1, 0, 1, 1, 0])
    converted = read_mpii(path, tmp_path)
    assert [image["id"] for image in converted.document["images"]] == [1]
    assert converted.skipped == {"test images, whose labels are not public": 2, "no person labelled": 2}


def test_fields_that_a_struct_does_not_have_count_as_empty(tmp_path):
    bare = {key: value for key, value in rect(BODY).items() if key in ("annopoints", "scale")}
    point = struct({"x": 5.0, "y": 6.0, "id": 2})  # no is_visible
    other = {"annopoints": struct({"point": point}), "scale": 1.0}
    rows = read_mpii(mpii(tmp_path, [[bare], [other], [rect(BODY)]]), tmp_path).document["annotations"]
    assert [row["num_keypoints"] for row in rows] == [16, 16]  # one joint alone has no place


def test_points_of_unknown_or_no_id_are_passed_over(tmp_path):
    odd = rect([*BODY, (99, (5, 5))])
    odd["annopoints"][0, 0][0][0, 3]["id"] = EMPTY
    rows = read_mpii(mpii(tmp_path, [[odd]]), tmp_path).document["annotations"]
    assert rows[0]["num_keypoints"] == 15
    assert rows[0]["keypoints"][9:12] == [0, 0, 0]


@pytest.mark.parametrize("kind", ["lsp", "mpii"])
def test_a_converted_file_is_read_and_has_no_faults_but_notes(tmp_path, lsp, kind):
    if kind == "lsp":
        document = read_lsp(lsp / "joints.mat", lsp, "lsp").document
    else:
        document = read_mpii(mpii(tmp_path, [[rect(BODY)], [rect(BODY)]]), tmp_path).document
    (tmp_path / "set.json").write_text(json.dumps(document))
    source = read_coco(tmp_path / "set.json", tmp_path)
    assert source.skeleton is (LSP14 if kind == "lsp" else MPII16)
    assert len(source.persons()) == len(document["annotations"])
    assert {finding.severity for finding in check_coco(document, tmp_path)} <= {"note"}


def test_pictures_are_parted_by_their_number(lsp):
    document = read_lsp(lsp / "joints.mat", lsp, "lsp").document
    for options, wanted in [
        ((2, 0), ([1, 3], [2])),
        ((0, 2), ([1, 2], [3])),
        ((3, 1), ([1], [2, 3])),
        ((), ([1, 2, 3], [])),
    ]:
        parts = split(document, *options)
        assert tuple([image["id"] for image in part["images"]] for part in parts) == wanted
        assert tuple([row["image_id"] for row in part["annotations"]] for part in parts) == wanted
        assert parts[0]["categories"] == parts[1]["categories"] == document["categories"]


@pytest.mark.parametrize("options", [(1, 0), (-2, 0), (0, -1)])
def test_a_part_that_would_be_nothing_or_all_is_refused(options):
    with pytest.raises(ConfigError, match="2 or more"):
        split({"images": [], "annotations": []}, *options)


def test_a_missing_picture_is_named(lsp):
    (lsp / "im0002.jpg").unlink()
    with pytest.raises(ImageError, match=r"im0002\.jpg: No such file"):
        read_lsp(lsp / "joints.mat", lsp, "lsp")


@pytest.mark.parametrize(
    "read", [lambda path: read_lsp(path, path.parent, "lsp"), lambda path: read_mpii(path, path.parent)]
)
def test_what_is_no_such_matlab_file_is_told(tmp_path, lsp, read):
    path = tmp_path / "a.mat"
    with pytest.raises(DataError, match=r"cannot read .*a\.mat: No such file"):
        read(path)
    whole = (lsp / "joints.mat").read_bytes()
    for content in (b"", b"hello", b"\0" * 200, whole[:150], whole[:-100], np.random.default_rng(0).bytes(5000)):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"MATLAB file|has no variable"):
            read(path)
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(400))
    with pytest.raises(DataError, match=r"version 7\.3; save it with -v7"):
        read(path)
    savemat(path, {"other": 1})
    with pytest.raises(DataError, match=r"has no variable called (joints|RELEASE)"):
        read(path)


@pytest.mark.parametrize(
    "release", [5, {"annolist": 3}, {"annolist": {"image": 1}, "img_train": [1, 2]}, {"img_train": [1]}]
)
def test_a_release_of_another_shape_is_refused(tmp_path, release):
    savemat(tmp_path / "a.mat", {"RELEASE": release})
    with pytest.raises(DataError, match="is not MPII's file"):
        read_mpii(tmp_path / "a.mat", tmp_path)


def test_without_scipy_the_extra_that_has_it_is_named(lsp, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(MissingPackageError, match=r"scipy; install it with: pip install 'lightpose\[train\]'"):
        read_lsp(lsp / "joints.mat", lsp, "lsp")


def test_a_type_that_takes_scipy_down_is_told(tmp_path):
    joints = np.ones((3, 14, 2), np.int64)
    savemat(tmp_path / "joints.mat", {"joints": joints})
    size = joints.nbytes.to_bytes(4, "little")
    content = (tmp_path / "joints.mat").read_bytes()
    assert content.count(b"\x0c\0\0\0" + size) == 1
    (tmp_path / "joints.mat").write_bytes(content.replace(b"\x0c\0\0\0" + size, b"\0\0\0\0" + size))
    with pytest.raises(DataError, match="is not a whole MATLAB file"):
        read_lsp(tmp_path / "joints.mat", tmp_path, "lsp")
