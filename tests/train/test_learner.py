"""One step of learning, against the same step written out: parts, clipping, half precision, stages."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from lightpose.data.coco import read_coco  # noqa: E402
from lightpose.data.crops import open_store  # noqa: E402
from lightpose.errors import ConfigError  # noqa: E402
from lightpose.models import build  # noqa: E402
from lightpose.train.batches import Batches  # noqa: E402
from lightpose.train.config import ModelConfig  # noqa: E402
from lightpose.train.distributed import World  # noqa: E402
from lightpose.train.learner import Learner  # noqa: E402
from lightpose.train.loss import LossConfig  # noqa: E402
from lightpose.train.pose import PoseTask  # noqa: E402
from lightpose.train.sampling import Share  # noqa: E402
from tests.train.runs import INPUT_HW, PLAIN, assert_same, config_for  # noqa: E402

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow]

CPU = torch.device("cpu")
KAIMING = ModelConfig(input_hw=INPUT_HW, sigma=1.0, init="kaiming")


@pytest.fixture(scope="module")
def config(few_people, tmp_path_factory):
    return config_for(few_people, tmp_path_factory.mktemp("learner"), model=KAIMING, augment=PLAIN, lr=2e-3)


@pytest.fixture(scope="module")
def batches(config):
    spec = config.model.spec()
    source = read_coco(config.data.val.annotations, config.data.val.images)
    store = open_store(source, spec.skeleton, spec.input_hw, Path(config.data.store))
    return Batches([store], config.data.train, spec, config.augment, 4, 0, False, CPU)


def learner(config, **optim):
    return Learner(replace(config, optim=replace(config.optim, **optim)), PoseTask(config, CPU), World(), CPU)


def by_hand(network, batches, clip):
    """Loss and gradient (as one long vector) of a batch in parts, from the paper's loss written out.

    Float for float as in training up to the network: drawn grounds are flat, where ReLU magnifies any rounding.
    """
    network = copy.deepcopy(network).train()
    mean, std = (255 * torch.tensor(three)[:, None, None] for three in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    total = 0.0
    for batch in batches:
        images = ((batch.images - mean) * (1 / std)).contiguous(memory_format=torch.channels_last)
        error = network(images) - batch.targets
        loss = len(batch.images) / 4 * (0.5 * (error**2).mean((2, 3)) * batch.weights).mean()
        loss.backward()
        total += loss.item()
    gradient = torch.cat([parameter.grad.flatten() for parameter in network.parameters()])
    return total, gradient * min(1.0, clip / float(gradient.norm()))


@pytest.mark.parametrize(("parts", "clip"), [(1, 1e9), (2, 1e9), (3, 1e9), (3, 1e-3)])
def test_a_step_follows_the_sum_of_the_parts_each_with_its_fraction(config, batches, parts, clip):
    """Of four persons in three parts, one has two."""
    (step,) = batches.epoch(0, 0, Share(), parts)
    assert len(step) == parts
    learning = learner(config, clip_norm=clip)
    expected, gradient = by_hand(learning.network, step, clip)
    assert float(gradient.norm()) < 1.001 * clip
    assert float(learning.step(step, 1e-4)) == pytest.approx(expected, rel=1e-5)
    found = torch.cat([parameter.grad.flatten() for parameter in learning.network.parameters()])
    assert float((found - gradient).norm() / gradient.norm()) < 1e-3


def test_the_rate_is_the_one_given_to_the_step(config, batches):
    (step,) = batches.epoch(0, 0, Share())
    learning = learner(config)
    before = copy.deepcopy(learning.network.state_dict())
    learning.step(step, 0.0)
    for name, value in learning.network.named_parameters():
        assert torch.equal(value, before[name]), name


def test_bf16_gives_nearly_the_loss_of_full_precision(config, batches):
    """Eight bits of mantissa: the losses agree to a hundredth, and are not the same."""
    (step,) = batches.epoch(0, 0, Share())
    full, half = (float(learner(replace(config, amp=amp)).step(step, 1e-3)) for amp in ("off", "bf16"))
    assert half == pytest.approx(full, rel=0.01)
    assert half != full


def test_what_a_cpu_cannot_do_is_refused(config):
    with pytest.raises(ConfigError, match=r"amp = 'fp16' needs a GPU; use 'auto' or 'off' on a CPU"):
        learner(replace(config, amp="fp16"))
    with pytest.raises(ConfigError, match=r"optim\.sync_bn needs GPUs; set it to false on a CPU"):
        learner(config, sync_bn=True)


def test_a_stage_begins_with_the_given_weights_and_everything_else_as_new(config, batches):
    (step,) = batches.epoch(0, 0, Share())
    learning, other = learner(config), learner(config)
    for _ in range(2):
        learning.step(step, 1e-3)
    assert learning.parts()["optimizer"].state_dict()["state"]
    given = build(config.model.spec()).state_dict()
    learning.restart(given)
    assert_same(dict(learning.network.state_dict()), dict(given))
    assert_same(dict(learning.answer.state_dict()), dict(given))
    parts, fresh = learning.parts(), other.parts()
    assert_same(parts["optimizer"].state_dict(), fresh["optimizer"].state_dict())
    assert int(parts["ema"].n_averaged) == 0
    # and a step from there is that of a learner that never did anything else
    other.network.load_state_dict(given)
    other.restart()
    assert torch.equal(learning.step(step, 1e-3), other.step(step, 1e-3))
    assert_same(dict(learning.network.state_dict()), dict(other.network.state_dict()))


@pytest.mark.parametrize(("ema", "kept"), [(0.0, False), (0.9, True)])
def test_the_answer_is_the_running_average_where_there_is_one(config, batches, ema, kept):
    (step,) = batches.epoch(0, 0, Share())
    learning = learner(config, ema=ema)
    learning.step(step, 1e-3)
    learning.step(step, 1e-3)
    assert (learning.answer is not learning.network) == kept
    assert ("ema" in learning.parts()) == kept


def test_several_heatmaps_of_a_network_are_all_learned(config, few_people):
    """CPN gives five in training and one in use."""
    spec = replace(config.model, name="cpn50", input_hw=(64, 64)).spec()
    cpn = replace(config, model=replace(config.model, name="cpn50", input_hw=(64, 64)), loss=LossConfig(hard_joints=8))
    source = read_coco(few_people.val.annotations, few_people.val.images)
    store = open_store(source, spec.skeleton, spec.input_hw, Path(config.data.store))
    (step,) = Batches([store], config.data.train, spec, PLAIN, 4, 0, False, CPU).epoch(0, 0, Share())
    learning = Learner(replace(cpn, optim=replace(cpn.optim, ema=0)), PoseTask(cpn, CPU), World(), CPU)
    before = copy.deepcopy(learning.network.state_dict())
    learning.step(step, 1e-3)
    moved = [name for name, value in learning.network.named_parameters() if not torch.equal(value, before[name])]
    assert len(moved) == len(list(learning.network.parameters()))


def test_a_seed_gives_the_weights_to_start_from(config):
    first, same, other = (learner(replace(config, seed=seed)).network.state_dict() for seed in (3, 3, 4))
    assert_same(dict(first), dict(same))
    assert not np.array_equal(first["head.weight"], other["head.weight"])
