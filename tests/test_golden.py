"""The bundled weights answer as they did when they were bundled, whatever has been rebuilt since."""

import json
from pathlib import Path

import pytest

from lightpose.weights import known_sha256
from tools.golden import SETS, average_precision, photo_rows

pytestmark = pytest.mark.slow

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text(encoding="utf-8"))


def test_the_golden_answers_are_those_of_the_bundled_weights():
    assert GOLDEN["weights"] == known_sha256(), "the weights have changed: run tools/golden.py"


def test_the_example_photos_have_the_keypoints_they_had():
    """To two hundredths of a pixel: other processors differ in the last digits."""
    rows = photo_rows()
    assert [row["file_name"] for row in rows] == [row["file_name"] for row in GOLDEN["photos"]]
    for row, golden in zip(rows, GOLDEN["photos"], strict=True):
        assert row["keypoints"] == pytest.approx(golden["keypoints"], abs=0.02)
        assert row["score"] == pytest.approx(golden["score"], abs=1e-4)


@pytest.mark.parametrize("name", SETS)
def test_ap_is_what_it_was(real_data: Path, name: str):
    pytest.importorskip("faster_coco_eval")
    assert average_precision(real_data, name) == pytest.approx(GOLDEN["ap"][name], abs=5e-4)
