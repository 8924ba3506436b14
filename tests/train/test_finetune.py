"""From the bundled weights to a skeleton of one's own, on two hundred pictures."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from lightpose.train.config import ModelConfig  # noqa: E402
from lightpose.train.loss import LossConfig  # noqa: E402
from lightpose.weights.network import load_network  # noqa: E402
from tests.helpers import draw_set  # noqa: E402
from tests.train.runs import INPUT_HW, PLAIN, ROOT, Diary, ap_of, config_for, data_of, train  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

JOINTS = ("neck", "left_wrist", "right_wrist", "left_ankle", "right_ankle")
SKELETON = f"joints = {list(JOINTS)}\nlimbs = [['neck', 'left_wrist'], ['neck', 'right_wrist']]\n"


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """Two epochs over 200 drawn pictures, from weights that know four of the five joints: configuration and diary."""
    folder = tmp_path_factory.mktemp("tuned")
    (folder / "five.toml").write_text(SKELETON)
    many, others = (draw_set(folder / name, (1,) * count, JOINTS, seed) for name, count, seed in
                    (("train", 200, 1), ("val", 20, 2)))  # fmt: skip
    data = data_of(others, folder / "store")
    config = config_for(
        replace(data, train=data_of(many, folder / "store").train),
        folder / "run",
        model=ModelConfig(
            skeleton=str(folder / "five.toml"),
            input_hw=INPUT_HW,
            sigma=1.0,
            init=str(ROOT / "weights" / "lpn50.safetensors"),
        ),
        loss=LossConfig(mse=200, cross_entropy=0.3),
        augment=PLAIN,
        batch=16,
        ema=0,
        checkpoint_every_s=1e9,
    )
    diary = Diary()
    train(config, diary)
    return config, diary


def test_it_learns_the_joints_of_persons_it_was_not_shown(tuned):
    """The AP of 20 other persons, as evaluation has it; and by the end a third of the first step's loss is gone."""
    config, diary = tuned
    first, second = (loss for _, loss, _, _ in diary.evaluations)
    assert second < 0.85 * first
    assert [entry[:3] for entry in diary.steps] == [(epoch, step, 13) for epoch in (0, 1) for step in range(1, 14)]
    start = diary.steps[0][3]
    assert second < 2 / 3 * start
    assert ap_of(f"{config.out}/best.safetensors", config.data) > 0.6


def test_its_weights_say_which_joints_they_find(tuned):
    config, _ = tuned
    network, spec = load_network(f"{config.out}/best.safetensors")
    assert (spec.skeleton.joints, spec.skeleton.name, spec.input_hw) == (JOINTS, "five", INPUT_HW)
    assert spec.skeleton.flip_order == (0, 2, 1, 4, 3)
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, *INPUT_HW)).shape == (1, 5, 16, 12)
