"""No damaged file makes lightpose fail in a way that it does not mean to."""

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
hypothesis = pytest.importorskip("hypothesis")

from hypothesis import strategies as st  # noqa: E402

from lightpose.errors import LightposeError  # noqa: E402
from lightpose.types import ModelSpec  # noqa: E402
from tests.fuzz.harness import run  # noqa: E402
from tests.fuzz.oracle import damaged  # noqa: E402
from tests.fuzz.readers import READERS, TURNS, make_seeds  # noqa: E402

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
NAMES = st.sampled_from(["model", "skeleton", "joints", "input_hw", "options", "mean", "std", "decoder", "sigma"])
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=3), inner, max_size=6)
)


@pytest.mark.slow
def test_no_damaged_file_does_what_it_must_not():
    faults = [outcome for outcome in run(range(2 * len(TURNS)), seed=7) if outcome.fault]
    assert not faults, "\n".join(f"python -m tests.fuzz --seed 7 --replay {each.number}: {each}" for each in faults)


def test_an_input_is_the_same_each_time_and_mostly_damaged(tmp_path: Path):
    make_seeds(tmp_path / "seeds")
    changed = 0
    for number in range(len(TURNS)):
        reader, damage, content = damaged(number, 3, tmp_path / "seeds")
        again = damaged(number, 3, tmp_path / "seeds")
        assert (damage, content) == again[1:]
        changed += content != (tmp_path / "seeds" / reader.file).read_bytes()
    assert changed > 0.8 * len(TURNS)
    assert {TURNS[number] for number in range(len(TURNS))} == set(range(len(READERS)))


@hypothesis.settings(derandomize=True, database=None, max_examples=200, deadline=None)
@hypothesis.given(TREES)
def test_any_tree_as_a_description_is_read_or_refused(tree: object):
    try:
        ModelSpec.from_json(json.dumps(tree))
    except LightposeError as error:
        assert str(error)  # noqa: PT017 - a tree may be read as well
