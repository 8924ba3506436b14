"""A run from Python: the same as by the parts, and what it leaves."""

import dataclasses
import json

import pytest

torch = pytest.importorskip("torch")

from lightpose import train  # noqa: E402
from lightpose.errors import ConfigError  # noqa: E402
from lightpose.train.callbacks import Started  # noqa: E402
from tests.train import runs  # noqa: E402

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow]


def test_a_run_leaves_what_it_says_and_is_the_loops_own(few_people, tmp_path):
    config = runs.config_for(few_people, tmp_path / "run")
    diary, own, lines = runs.Diary(), runs.Diary(), []
    result = train.run(config, [diary, train.Lines(lines.append)])
    runs.train(dataclasses.replace(config, out=str(tmp_path / "own")), own)
    runs.assert_same(runs.checkpoint(config.out), runs.checkpoint(tmp_path / "own"))
    assert diary.steps == own.steps
    assert diary.start == Started(epochs=2, steps=1, shown=4, what="crops")
    epochs = json.loads(result.log.read_text())["epochs"]
    assert result.best_ap == max(epoch["ap"] for epoch in epochs) == epochs[result.best_epoch]["ap"]
    assert runs.ap_of(result.weights, few_people) == pytest.approx(result.best_ap, abs=1e-6)
    assert [line.split()[:2] for line in lines] == [["epoch", "1"], ["epoch", "2"]]
    assert (tmp_path / "run" / "tensorboard").is_dir()


def test_a_file_is_read_and_a_finished_run_tells_its_result_again(few_people, tmp_path):
    source = few_people.val
    path = tmp_path / "run.toml"
    path.write_text(
        f"""
        out = "{tmp_path / "run"}"
        device = "cpu"
        model = {{ input_hw = [64, 48] }}
        optim = {{ batch = 4, epochs = 1 }}
        [data]
        store = "{few_people.store}"
        val = {{ annotations = "{source.annotations}", images = "{source.images}" }}
        train = [{{ annotations = "{source.annotations}", images = "{source.images}" }}]
        """
    )
    result, diary = train.run(path), runs.Diary()
    assert result.weights == tmp_path / "run" / "best.safetensors"
    assert train.run(train.read_config(path), [diary]) == result
    assert (diary.resumptions, diary.steps) == ([(1, 0)], [])


def test_a_file_that_is_none_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read .*none\.toml"):
        train.run(tmp_path / "none.toml")
