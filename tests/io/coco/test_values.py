"""What single values mean."""

import numpy as np
import pytest

from lightpose.io.coco.values import file_name, key, keypoints, limbs, number, numbered

NAN = float("nan")


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(7, 7), (2.5, 2.5), ("12.5", 12.5), (" 3 ", 3), ("-1e2", -100), (True, 1)]
    + [(bad, None) for bad in (None, "", "12,5", "wide", NAN, "nan", float("inf"), 10**400, 1e39, [1], {})],
)
def test_a_number_is_a_number_or_its_text(value, wanted):
    assert number(value) == wanted


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(625, 625), (625.0, 625), ("625", 625), ("000625", 625), ("625.0", 625), (0, 0), (2**64 + 1, 2**64 + 1)]
    + [("photo", "photo"), ("6e2", "6e2"), (str(2**64 + 1), 2**64 + 1)]
    + [(bad, None) for bad in (None, True, 2.5, NAN, "", [7], {})],
)
def test_an_id_is_a_whole_number_however_it_is_written_or_text(value, wanted):
    found = key(value)
    assert found == wanted
    assert type(found) is type(wanted)


def test_ids_of_64_bits_stay_and_others_are_numbered():
    assert numbered([9, -3, 2**63 - 1]) == [9, -3, 2**63 - 1]
    assert numbered([9, 2**63]) == [1, 2]
    assert numbered(["a", 9]) == [1, 2]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("a/b.jpg", "a/b.jpg"),
        ("./a//b.jpg", "a/b.jpg"),
        ("a\\b.jpg", "a/b.jpg"),
        ("C:\\data\\b.jpg", "C:/data/b.jpg"),
        ("../a/b.jpg", "../a/b.jpg"),
        ("https://host/a/b%20c.jpg?size=3#x", "b c.jpg"),
        ("s3://bucket/b.jpg", "b.jpg"),
    ],
)
def test_a_file_name_is_a_path_with_slashes(name, wanted):
    assert file_name(name) == wanted


PLAIN = [1, 2, 2, 3.5, 4, 1, 0, 0, 0]


def test_plain_keypoints_are_the_list_itself():
    found, codes = keypoints(PLAIN, 3)
    assert found is PLAIN
    assert codes == []


@pytest.mark.parametrize(
    ("values", "wanted", "codes"),
    [
        (None, [0] * 9, ["no_keypoints"]),
        ([], [0] * 9, ["no_keypoints"]),
        (["1", "2", "2", "3.5", 4, 1, 0, 0, "0"], PLAIN, ["text_number"]),
        ([1, 2, 3.5, 4, 0, 0], [1, 2, 2, 3.5, 4, 2, 0, 0, 0], ["no_visibility"]),
        ([1, 2, NAN, 4, 0, 0], [1, 2, 2, 0, 0, 0, 0, 0, 0], ["no_visibility", "no_place"]),
        ([1, 2, 2, 3.5, 4, 1, NAN, NAN, 0], PLAIN, ["no_place"]),
        ([1, 2, 2, 3.5, 4, 1, None, None, None], PLAIN, ["no_place"]),
        ([1, 2, 0.9, 3, 4, 0.01, 5, 6, 1.5], [1, 2, 1, 3, 4, 1, 5, 6, 1], ["bad_visibility"]),
        ([1, 2, 255, 3, 4, -1, 5, 6, 3], [1, 2, 2, 3, 4, 0, 5, 6, 2], ["bad_visibility"]),
    ],
)
def test_keypoints_are_read_as_what_they_mean(values, wanted, codes):
    assert keypoints(values, 3) == (wanted, codes)


@pytest.mark.parametrize(
    "values",
    [[1, 2, 2], [[1, 2, 2]] * 3, "1 2 2", {"x": 1}, 7, [NAN, 2, 2] * 3, [1, 2, NAN] * 3, [1, 2, float("inf")] * 3,
     [1, 2, "seen"] * 3, [10**400, 2, 2] * 3, [1e39, 2, 2] * 3, [None, 2, 1] * 3],
    ids=str,
)  # fmt: skip
def test_keypoints_that_mean_nothing_are_none(values):
    assert keypoints(values, 3) == (None, [])


def test_usual_keypoints_are_told_as_numpy_tells_them():
    """Both ways of telling a plain row give the same, over rows of odd numbers."""
    rng = np.random.default_rng(0)
    odd = [0, 1, 2, 2.0, 5.5, -3, NAN, float("inf"), -float("inf"), 1e39, 10**400, True, 0.5]
    for _ in range(2000):
        values = [odd[n] if rng.random() < 0.1 else 1 for n in rng.integers(len(odd), size=9)]
        found, codes = keypoints(values, 3)
        again, slow = keypoints([str(value) for value in values], 3)
        plain = all(type(value) in (int, float) for value in values)
        if plain and found is not None:
            assert again == [float(value) for value in found]
            assert [code for code in slow if code != "text_number"] == codes


@pytest.mark.parametrize(
    ("pairs", "wanted", "code"),
    [
        (None, [], ""), ([], [], ""), ([[1, 2], [3, 1]], [[1, 2], [3, 1]], ""), ([["1", 2.0]], [[1, 2]], ""),
        ([[0, 1], [0, 2]], [[1, 2], [1, 3]], "limbs_from_0"), ([[0, 3]], [], "bad_limbs"), ([[1, 4]], [], "bad_limbs"),
        ([[-1, 1]], [], "bad_limbs"), ([[1, 2, 3]], [], "bad_limbs"), ("1-2", [], "bad_limbs"),
        (5, [], "bad_limbs"), ([[1, None]], [], "bad_limbs"), ([[1, 10**30]], [], "bad_limbs"),
    ],
)  # fmt: skip
def test_limbs_are_pairs_from_one_on(pairs, wanted, code):
    assert limbs(pairs, 3) == (wanted, code)
