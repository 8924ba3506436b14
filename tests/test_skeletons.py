"""Joint names, mirror pairs, sigmas, and the three ways a skeleton comes in: built in, COCO category, TOML."""

from pathlib import Path

import numpy as np
import pytest

from lightpose.errors import SkeletonError
from lightpose.skeletons import COCO17, LSP14, MPII16, SKELETONS, Skeleton, from_category, from_toml, get_skeleton

BUILT_IN = sorted(SKELETONS)


@pytest.mark.parametrize(
    ("name", "joints", "pairs"),
    [("coco17", 17, 8), ("lsp14", 14, 6), ("mpii16", 16, 6), ("halpe26", 26, 11), ("wholebody133", 133, 61),
     ("hand21", 21, 0), ("body25", 25, 11), ("ap10k", 17, 7)],
)  # fmt: skip
def test_built_in_skeletons_have_their_data_sets_joints_and_mirror_pairs(name, joints, pairs):
    skeleton = SKELETONS[name]
    moved = [joint for joint, mirror in enumerate(skeleton.flip_order) if joint != mirror]
    assert (len(skeleton), len(skeleton.sigmas), len(moved)) == (joints, joints, 2 * pairs)


def test_built_in_joints_stand_where_their_data_sets_put_them():
    assert COCO17.joints[0] == "nose"
    assert (COCO17.joints[5], COCO17.joints[16]) == ("left_shoulder", "right_ankle")
    assert (LSP14.joints[0], LSP14.joints[13]) == ("right_ankle", "head_top")
    assert (MPII16.joints[6], MPII16.joints[9], MPII16.joints[15]) == ("pelvis", "head_top", "left_wrist")


def test_the_joints_of_other_data_sets_stand_where_those_put_them():
    """Places, sigmas and mirror pairs as COCO-WholeBody, Halpe, OpenPose and AP-10K list them, looked up one by one."""
    joints = {name: {joint: place for place, joint in enumerate(each.joints)} for name, each in SKELETONS.items()}
    whole, order = joints["wholebody133"], SKELETONS["wholebody133"].flip_order
    assert [whole[name] for name in ("left_big_toe", "right_heel", "right_face_0", "face_8", "left_hand_root")] == [
        17, 22, 23, 31, 91,
    ]  # fmt: skip
    assert (whole["right_thumb1"], whole["right_pinky_finger4"]) == (113, 132)
    pairs = ((0, 16), (7, 9), (17, 26), (21, 22), (31, 35), (36, 45), (39, 42), (40, 47), (41, 46), (48, 54), (50, 52))
    face = {23 + a: 23 + b for a, b in (*pairs, (55, 59), (56, 58), (60, 64), (65, 67))}
    assert {place: order[place] for place in face} == face
    assert [order[23 + middle] for middle in (8, 27, 30, 33, 51, 57, 62, 66)] == [31, 50, 53, 56, 74, 80, 85, 89]
    sigmas = SKELETONS["wholebody133"].sigmas
    assert [sigmas[place] for place in (17, 20, 22, 23, 70, 90, 91, 111, 112, 132)] == [
        0.068, 0.092, 0.094, 0.042, 0.034, 0.008, 0.029, 0.031, 0.029, 0.031,
    ]  # fmt: skip
    halpe = joints["halpe26"]
    assert [halpe[name] for name in ("head", "neck", "hip", "left_big_toe", "right_heel")] == [17, 18, 19, 20, 25]
    assert SKELETONS["halpe26"].sigmas[17:] == (0.026, 0.026, 0.066, *[0.079] * 6)
    body = joints["body25"]
    assert [body[name] for name in ("neck", "left_shoulder", "mid_hip", "left_ear", "right_heel")] == [1, 5, 8, 18, 24]
    animal = joints["ap10k"]
    assert [animal[name] for name in ("nose", "tail_root", "right_front_paw", "right_back_paw")] == [2, 4, 10, 16]


def test_sigmas_of_other_data_sets_are_those_that_their_evaluations_have():
    """Hands: COCO-WholeBody's myeval_lefthand.py; feet: its myeval_wholebody.py; animals: MMPose's ap10k.py."""
    hand = (29, 22, 35, 37, 47, 26, 25, 24, 35, 18, 24, 22, 26, 17, 21, 21, 32, 20, 19, 22, 31)
    assert SKELETONS["hand21"].sigmas == pytest.approx([each / 1000 for each in hand], abs=1e-12)
    whole = SKELETONS["wholebody133"].sigmas
    assert whole[91:112] == whole[112:] == SKELETONS["hand21"].sigmas
    assert whole[17:23] == (0.068, 0.066, 0.066, 0.092, 0.094, 0.094)
    assert SKELETONS["ap10k"].sigmas == (0.025, 0.025, 0.026, *COCO17.sigmas[3:])


def test_body25_has_the_sigmas_of_coco_and_its_feet_by_name():
    """OpenPose publishes none; the neck has the shoulders', the middle of the hips theirs."""
    known = dict(zip(COCO17.joints, COCO17.sigmas, strict=True))
    whole = SKELETONS["wholebody133"]
    known |= dict(zip(whole.joints[17:23], whole.sigmas[17:23], strict=True))
    known |= {"neck": known["left_shoulder"], "mid_hip": known["left_hip"]}
    body = SKELETONS["body25"]
    assert dict(zip(body.joints, body.sigmas, strict=True)) == {joint: known[joint] for joint in body.joints}


@pytest.mark.parametrize("name", BUILT_IN)
def test_mirroring_twice_changes_nothing(name):
    order = SKELETONS[name].flip_order
    assert [order[mirror] for mirror in order] == list(range(len(order)))


@pytest.mark.parametrize("name", BUILT_IN)
def test_mirroring_swaps_left_with_right_and_keeps_the_rest(name):
    skeleton = SKELETONS[name]
    for joint, mirror in zip(skeleton.joints, skeleton.flip_order, strict=True):
        side, _, rest = joint.partition("_")
        swapped = {"left": f"right_{rest}", "right": f"left_{rest}"}.get(side, joint)
        assert skeleton.joints[mirror] == swapped


@pytest.mark.parametrize("name", BUILT_IN)
def test_limbs_are_mirror_symmetric_and_reach_every_joint(name):
    skeleton = SKELETONS[name]
    limbs = {frozenset(pair) for pair in skeleton.limb_indices.tolist()}
    assert {frozenset(skeleton.flip_order[joint] for joint in limb) for limb in limbs} == limbs
    apart = {number for number, joint in enumerate(skeleton.joints) if "face_" in joint or "hand_root" in joint}
    assert set().union(*limbs) == set(range(len(skeleton))) - apart
    assert len(limbs) == len(skeleton.limbs)


def test_coco_sigmas_equal_those_of_pycocotools():
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    np.testing.assert_allclose(COCO17.sigmas, cocoeval.Params(iouType="keypoints").kpt_oks_sigmas, rtol=1e-12)


def test_sigmas_left_out_come_from_coco_by_name_and_default_to_its_shoulder():
    assert Skeleton("s", ("tail", "nose", "left_hip")).sigmas == (0.079, 0.026, 0.107)


def test_a_side_without_its_counterpart_is_its_own_mirror_image():
    assert Skeleton("s", ("left_wing", "beak", "leftover", "right_tail")).flip_order == (0, 1, 2, 3)


def test_a_skeleton_without_limbs_has_limb_indices_of_shape_0_2():
    assert Skeleton("s", ("a",)).limb_indices.shape == (0, 2)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"joints": ()}, "no joints"),
        ({"joints": ("a", "b", "a")}, "names a twice"),
        ({"joints": ("a", "b"), "sigmas": (0.1,)}, "2 joints but 1 sigmas"),
        ({"joints": ("a",), "sigmas": (0.0,)}, "not above 0"),
        ({"joints": ("a",), "sigmas": (float("nan"),)}, "not above 0"),
        ({"joints": ("a",), "limbs": (("a", "z"),)}, "unknown joints: z"),
    ],
)
def test_a_malformed_skeleton_is_refused_with_the_reason(arguments, text):
    with pytest.raises(SkeletonError, match=text):
        Skeleton("odd", **arguments)


@pytest.mark.parametrize("seed", range(3))
def test_match_pairs_permuted_and_missing_joints_by_name(seed):
    rng = np.random.default_rng(seed)
    names = [*rng.permutation(COCO17.joints)[:11], "tail", "beak"]
    mine, theirs = COCO17.match(names)
    assert [COCO17.joints[joint] for joint in mine] == [names[joint] for joint in theirs]
    assert len(mine) == len(set(mine.tolist())) == 11


def test_match_of_the_same_names_is_the_identity():
    mine, theirs = MPII16.match(MPII16.joints)
    assert mine.tolist() == theirs.tolist() == list(range(16))


@pytest.mark.parametrize("names", [["tail"], []])
def test_match_with_nothing_shared_says_which_names_met(names):
    with pytest.raises(
        SkeletonError, match=r"no joint of skeleton 'lsp14' \(right_ankle, .*among the data's: (tail)?$"
    ):
        LSP14.match(names)


def test_a_category_gives_its_names_and_turns_1_based_pairs_into_limbs():
    skeleton = from_category({"name": "dog", "keypoints": ["nose", "tail", "left_ear"], "skeleton": [[1, 2], [3, 1]]})
    assert skeleton == Skeleton("dog", ("nose", "tail", "left_ear"), (("nose", "tail"), ("left_ear", "nose")))


@pytest.mark.parametrize("pairs", [{}, {"skeleton": None}, {"skeleton": []}])
def test_a_category_without_pairs_has_no_limbs(pairs):
    assert from_category({"name": "dog", "keypoints": ["nose"], **pairs}).limbs == ()


def test_a_category_with_the_joints_of_coco_is_coco17():
    assert from_category({"name": "person", "keypoints": list(COCO17.joints), "skeleton": [[16, 14]]}) is COCO17


@pytest.mark.parametrize(
    ("category", "text"),
    [
        ({"name": "dog"}, "'dog' has no list of `keypoints` names"),
        ({"name": "dog", "keypoints": "nose"}, "no list of `keypoints` names"),
        ({"name": "dog", "keypoints": [1, 2]}, "no list of `keypoints` names"),
        ({"name": "dog", "keypoints": []}, "no joints"),
        ({"name": "dog", "keypoints": ["a", "a"]}, "names a twice"),
        ({"name": "dog", "keypoints": ["a", "b"], "skeleton": [[1, 3]]}, "not pairs of numbers from 1 to 2"),
        ({"name": "dog", "keypoints": ["a", "b"], "skeleton": [[0, 1]]}, "not pairs of numbers from 1 to 2"),
        ({"name": "dog", "keypoints": ["a", "b"], "skeleton": [[-1, 1]]}, "not pairs of numbers from 1 to 2"),
        ({"name": "dog", "keypoints": ["a", "b"], "skeleton": [[1, 2, 1]]}, "not pairs of numbers from 1 to 2"),
        ({"name": "dog", "keypoints": ["a", "b"], "skeleton": [["a", "b"]]}, "not pairs of numbers from 1 to 2"),
        ({"name": "dog", "keypoints": ["a", "b"], "skeleton": 5}, "not pairs of numbers from 1 to 2"),
    ],
)
def test_a_malformed_category_is_refused_with_the_reason(category, text):
    with pytest.raises(SkeletonError, match=text):
        from_category(category)


def test_a_toml_file_gives_all_four_fields(tmp_path):
    path = tmp_path / "bird.toml"
    path.write_text(
        'name = "heron"\njoints = ["beak", "left_wing", "right_wing"]\n'
        'limbs = [["beak", "left_wing"]]\nsigmas = [0.1, 0.2, 1]\n',
        encoding="utf-8",
    )
    heron = Skeleton("heron", ("beak", "left_wing", "right_wing"), (("beak", "left_wing"),), (0.1, 0.2, 1.0))
    assert from_toml(path) == get_skeleton(str(path)) == heron
    assert heron.flip_order == (0, 2, 1)


def test_a_toml_file_with_joints_only_is_named_after_the_file(tmp_path):
    path = tmp_path / "bird.toml"
    path.write_text('joints = ["nose"]', encoding="utf-8")
    assert from_toml(path) == Skeleton("bird", ("nose",), (), (0.026,))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"joints = [", "cannot read the skeleton file"),
        (b"joints = ['\xff']", "cannot read the skeleton file"),
        (b"joints = ['a']\ncolour = 1", "unknown key 'colour'; known are name, joints, limbs, sigmas"),
        (b"", "no joints"),
        (b"joints = 5", "bad.toml"),
        (b"joints = 'nose'", "bad.toml"),
        (b"joints = ['a', 'a']", "names a twice"),
        (b"joints = ['a', 'b']\nlimbs = [['a', 'c']]", "unknown joints: c"),
        (b"joints = ['a', 'b']\nlimbs = [['a', 'b', 'a']]", "limbs must be pairs of joint names"),
        (b"joints = ['a', 'b']\nlimbs = [1]", "limbs must be pairs of joint names"),
        (b"joints = ['a', 'b']\nsigmas = ['wide', 'narrow']", "sigmas numbers"),
        (b"joints = ['a', 'b']\nsigmas = [0.1]", "2 joints but 1 sigmas"),
    ],
)
def test_a_bad_toml_file_is_refused_with_the_reason(tmp_path, content, text):
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(SkeletonError, match=text):
        from_toml(path)


def test_a_missing_toml_file_is_named(tmp_path):
    with pytest.raises(SkeletonError, match=r"cannot read the skeleton file .*none\.toml"):
        get_skeleton(str(tmp_path / "none.toml"))


@pytest.mark.parametrize("name", BUILT_IN)
def test_get_skeleton_finds_the_built_in_ones(name):
    assert get_skeleton(name) is SKELETONS[name]


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(
        SkeletonError, match=r"unknown skeleton 'coco'; use coco17, lsp14, mpii16, halpe26, .* or a \.toml file"
    ):
        get_skeleton("coco")


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 20_000, "a" + ".a" * 20_000 + " = 1", "# " + "x" * 2**20, "sigmas = [1" + "0" * 400 + "]"]
)
def test_a_file_that_is_meant_to_fill_the_memory_is_refused(tmp_path: Path, text: str):
    path = tmp_path / "deep.toml"
    path.write_text(text)
    with pytest.raises(SkeletonError, match=r"deep\.toml"):
        from_toml(path)


def test_a_file_of_long_names_is_read_at_once(tmp_path: Path):
    path = tmp_path / "long.toml"
    path.write_text(f"joints = ['{'x' * 900_000}']")
    assert len(from_toml(path).joints[0]) == 900_000
