"""The loss against plain loops, and what it leaves alone."""

import math
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from lightpose.errors import ConfigError  # noqa: E402
from lightpose.ops.codec import encode  # noqa: E402
from lightpose.train.loss import LossConfig, heatmap_loss  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

N, K, H, W = 3, 4, 8, 6


@pytest.fixture
def batch():
    """heatmaps, targets, weights: random heatmaps, Gaussian targets, about half of the joints masked."""
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(N, K, 2, generator=generator) * torch.tensor([W - 1.0, H - 1.0])
    weights = torch.tensor([[1.0, 0, 0.5, 1], [0, 0, 0, 0], [1, 2, 0, 1]])
    targets, weights = encode(points, weights, (H, W), sigma=1.0)
    return torch.randn(N, K, H, W, generator=generator), targets, weights


def squared_error(heatmaps, targets, weights):
    """Half the mean squared error of each joint, times its weight, averaged over all joints of all persons."""
    total = 0.0
    for n in range(N):
        for k in range(K):
            for i in range(H):
                for j in range(W):
                    total += (
                        0.5 * float(heatmaps[n, k, i, j] - targets[n, k, i, j]) ** 2 * float(weights[n, k]) / (H * W)
                    )
    return total / (N * K)


def cross_entropy(heatmaps, targets, weights, temperature):
    """Of each joint -Σ p·log softmax(temperature · heatmap), p the target as a distribution, times its weight; averaged
    over all joints of all persons."""
    total = 0.0
    for n in range(N):
        for k in range(K):
            if float(weights[n, k]) == 0:
                continue
            scores = [temperature * float(value) for value in heatmaps[n, k].flatten()]
            top = max(scores)
            log_sum = top + math.log(sum(math.exp(score - top) for score in scores))
            whole = float(targets[n, k].sum())
            for score, target in zip(scores, targets[n, k].flatten(), strict=True):
                total -= float(weights[n, k]) * float(target) / whole * (score - log_sum)
    return total / (N * K)


def test_the_default_is_the_papers_loss(batch):
    assert float(heatmap_loss(*batch, LossConfig())) == pytest.approx(squared_error(*batch), rel=1e-5)


def test_each_term_has_its_factor(batch):
    config = LossConfig(mse=3, cross_entropy=0.5, temperature=2.0)
    expected = 3 * squared_error(*batch) + 0.5 * cross_entropy(*batch, temperature=2.0)
    assert float(heatmap_loss(*batch, config)) == pytest.approx(expected, rel=1e-5)


def test_cross_entropy_may_stand_alone(batch):
    found = heatmap_loss(*batch, LossConfig(mse=0, cross_entropy=1))
    assert float(found) == pytest.approx(cross_entropy(*batch, temperature=20.0), rel=1e-5)


BOTH = LossConfig(mse=2, cross_entropy=0.3)
CONFIGS = pytest.mark.parametrize("config", [LossConfig(), BOTH], ids=["paper", "both"])
ALL_KINDS = pytest.mark.parametrize(
    "config", [LossConfig(), BOTH, LossConfig(cross_entropy=0.3, hard_joints=2)], ids=["paper", "both", "hard"]
)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9])
@CONFIGS
def test_of_hard_joints_each_persons_costliest_count(batch, config, count):
    """Each joint's cost is found alone, all others weighing nothing; the dearest of each person are averaged."""
    heatmaps, targets, weights = batch
    dearest = []
    for n in range(N):
        costs = []
        for k in range(K):
            alone = torch.zeros_like(weights)
            alone[n, k] = weights[n, k]
            costs.append(float(heatmap_loss(heatmaps, targets, alone, config)) * N * K)
        dearest += sorted(costs, reverse=True)[:count]
    found = heatmap_loss(heatmaps, targets, weights, replace(config, hard_joints=count))
    assert float(found) == pytest.approx(np.mean(dearest), rel=1e-5)


def test_joints_that_are_not_hard_get_no_gradient(batch):
    heatmaps, targets, _ = batch
    heatmaps.requires_grad_()
    weights = torch.ones(N, K)
    heatmap_loss(heatmaps, targets, weights, LossConfig(hard_joints=3)).backward()
    assert ((heatmaps.grad.abs().amax((2, 3)) > 0).sum(1) == 3).all()


@ALL_KINDS
def test_several_heatmaps_add_up(batch, config):
    """As intermediate supervision has it."""
    heatmaps, targets, weights = batch
    several = (heatmaps, 0.5 * heatmaps, targets)
    expected = sum(float(heatmap_loss(each, targets, weights, config)) for each in several)
    assert float(heatmap_loss(several, targets, weights, config)) == pytest.approx(expected, rel=1e-6)


@ALL_KINDS
def test_the_loss_of_a_batch_is_the_mean_of_that_of_its_equal_parts(batch, config):
    parts = [float(heatmap_loss(*(value[n : n + 1] for value in batch), config)) for n in range(N)]
    assert float(heatmap_loss(*batch, config)) == pytest.approx(np.mean(parts), rel=1e-6)


@ALL_KINDS
def test_half_precision_heatmaps_are_compared_in_full(batch, config):
    """What bf16 rounds to is the heatmap; the sum over its pixels is not rounded again."""
    heatmaps, targets, weights = batch
    rounded = heatmaps.bfloat16()
    found = heatmap_loss(rounded, targets, weights, config)
    assert found.dtype == torch.float32
    assert torch.equal(found, heatmap_loss(rounded.float(), targets, weights, config))


@CONFIGS
def test_masked_joints_change_nothing(batch, config):
    heatmaps, targets, weights = batch
    masked = weights == 0
    elsewhere, wild = heatmaps.clone(), targets.clone()
    elsewhere[masked] += 100
    wild[masked] = 7
    assert torch.equal(heatmap_loss(heatmaps, targets, weights, config), heatmap_loss(elsewhere, wild, weights, config))


@CONFIGS
def test_masked_joints_get_no_gradient_and_the_others_do(batch, config):
    heatmaps, targets, weights = batch
    heatmaps.requires_grad_()
    heatmap_loss(heatmaps, targets, weights, config).backward()
    pulled = heatmaps.grad.abs().amax((2, 3)) > 0
    assert torch.equal(pulled, weights > 0)


@CONFIGS
def test_a_batch_without_any_label_costs_nothing(batch, config):
    heatmaps, targets, weights = batch
    heatmaps.requires_grad_()
    loss = heatmap_loss(heatmaps, torch.zeros_like(targets), torch.zeros_like(weights), config)
    loss.backward()
    assert float(loss.detach()) == 0
    assert not heatmaps.grad.any()


def test_the_squared_error_is_zero_only_where_the_target_is_met(batch):
    _, targets, weights = batch
    assert float(heatmap_loss(targets, targets, weights, LossConfig())) == 0
    nearly = targets + 0.01 * (torch.arange(W) == 2)
    assert float(heatmap_loss(nearly, targets, weights, LossConfig())) > 0


def test_cross_entropy_is_least_where_softmax_gives_the_target(batch):
    """Gibbs: the entropy of the targets, each times its weight; reached by heatmaps that are the targets' logarithm
    over the temperature."""
    _, targets, weights = batch
    config = LossConfig(mse=0, cross_entropy=1, temperature=5)
    share = (targets / targets.sum((2, 3), keepdim=True).clamp(min=1e-6)).numpy()
    logs = np.log(np.maximum(share, 1e-30))
    entropy = -((share * logs).sum((2, 3)) * weights.numpy()).mean()
    best = heatmap_loss(torch.from_numpy(logs / 5), targets, weights, config)
    assert float(best) == pytest.approx(entropy, abs=1e-4)
    assert float(heatmap_loss(targets, targets, weights, config)) > entropy


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"mse": 0}, r"loss\.mse and loss\.cross_entropy must not both be 0"),
        ({"mse": -1, "cross_entropy": 2}, r"loss\.mse must be 0, or from 1e-06 to 1e\+06, not -1"),
        ({"cross_entropy": -0.1}, r"loss\.cross_entropy must be 0, or from 1e-06 to 1e\+06, not -0\.1"),
        ({"temperature": 0}, r"loss\.temperature must be from 0\.001 to 10000, not 0"),
        ({"temperature": float("nan")}, r"loss\.temperature must be from 0\.001 to 10000, not nan"),
        ({"mse": float("nan")}, r"loss\.mse"),
        ({"hard_joints": -1}, r"loss\.hard_joints must be from 0 to \d+, not -1"),
    ],
)
def test_a_setting_out_of_its_range_is_refused(settings, text):
    with pytest.raises(ConfigError, match=text):
        LossConfig(**settings)
