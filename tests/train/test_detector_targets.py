"""Targets and losses of a person detector, against plain loops and cases worked by hand."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from lightpose.errors import ConfigError  # noqa: E402
from lightpose.models.detector import Detection  # noqa: E402
from lightpose.train.detector_targets import (  # noqa: E402
    REACH,
    CentreTargets,
    DetectorLossConfig,
    centre_targets,
    detector_loss,
    generalised_iou,
)

NOBODY = torch.zeros(1, 0, 4)


def boxes(*rows):
    return torch.tensor([rows], dtype=torch.float32)


def by_loops(people, map_hw, stride):
    """Heat, and the box and weight of each position, a person at a time from the largest to the smallest."""
    height, width = map_hw
    heat, owner = np.zeros(map_hw), np.full(map_hw, -1)
    bells = np.zeros((len(people), *map_hw))
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in people]
    for number in np.argsort(areas)[::-1]:
        left, top, right, bottom = people[number]
        column, row = math.floor((left + right) / 2 / stride), math.floor((top + bottom) / 2 / stride)
        radius_x = math.floor(REACH / 2 * (right - left) / stride)
        radius_y = math.floor(REACH / 2 * (bottom - top) / stride)
        for y in range(max(row - radius_y, 0), min(row + radius_y + 1, height)):
            for x in range(max(column - radius_x, 0), min(column + radius_x + 1, width)):
                spread_x, spread_y = (2 * radius_x + 1) / 6, (2 * radius_y + 1) / 6
                bell = math.exp(-((x - column) ** 2) / 2 / spread_x**2 - (y - row) ** 2 / 2 / spread_y**2)
                bells[number, y, x] = bell
                heat[y, x] = max(heat[y, x], bell)
                owner[y, x] = number
    weights = np.zeros(map_hw)
    for number, area in enumerate(areas):
        mine = bells[number] * (owner == number)
        weights += mine / mine.sum() * (1 + max(math.log(area / stride**2), 0))
    return heat, owner, weights


def test_targets_are_those_of_plain_loops():
    """Three persons, two of them overlapping, one tiny, and a filler without area."""
    people = [[10.0, 8.0, 50.0, 60.0], [30.0, 20.0, 62.0, 44.0], [70.0, 3.0, 74.0, 9.0]]
    given = boxes(people[0], [0, 0, 0, 0], *people[1:])
    found = centre_targets(given, NOBODY, (16, 20), 4)
    heat, owner, weights = by_loops(people, (16, 20), 4)
    np.testing.assert_allclose(found.heat[0, 0], heat, atol=1e-5)
    np.testing.assert_allclose(found.weights[0, 0], weights, atol=1e-4)
    np.testing.assert_allclose(found.boxes[0][:, owner >= 0].T, np.array(people)[owner[owner >= 0]])
    assert (found.heat == 1).sum() == 3
    assert found.counted.all()


def test_a_picture_without_people_has_no_target():
    for people in (NOBODY, torch.zeros(1, 3, 4)):
        found = centre_targets(people, NOBODY, (8, 8), 4)
        assert not found.heat.any()
        assert not found.weights.any()
        assert found.counted.all()


def test_what_is_ignored_is_unknown_save_where_somebody_is():
    """A crowd over the left half, and a person in the middle of it."""
    found = centre_targets(boxes([8, 8, 16, 16]), boxes([0, 0, 16, 32]), (8, 8), 4)
    expected = np.ones((8, 8))
    expected[:, :4] = 0
    expected[np.asarray(found.heat[0, 0]) > 0] = 1
    np.testing.assert_array_equal(found.counted[0, 0], expected)
    assert found.counted[0, 0, 3, 3] == 1
    assert found.counted[0, 0, 0, 0] == 0


def perfect(targets):
    return Detection((targets.heat * 40 - 20) * 1.0, targets.boxes.clone())


def test_a_perfect_answer_costs_next_to_nothing_and_a_blank_one_more():
    targets = centre_targets(boxes([9, 9, 11, 11]), NOBODY, (8, 8), 4)
    config = DetectorLossConfig()
    assert detector_loss(perfect(targets), targets, config).item() == pytest.approx(0, abs=1e-6)
    blank = Detection(torch.zeros(1, 1, 8, 8), torch.tensor([0.0, 0, 4, 4])[None, :, None, None].expand(1, 4, 8, 8))
    assert detector_loss(blank, targets, config).item() > 5


def test_focal_loss_is_that_of_the_formula():
    """CenterNet's, Eq. 1, on one row: a centre, its neighbour at half heat, background, and something unknown."""
    heat, counted = torch.tensor([[[[1.0, 0.5, 0.0, 0.0]]]]), torch.tensor([[[[1.0, 1.0, 1.0, 0.0]]]])
    likely = np.array([0.7, 0.4, 0.2, 0.9])
    logits = torch.tensor(np.log(likely / (1 - likely)), dtype=torch.float32).view(1, 1, 1, 4)
    nothing = torch.zeros(1, 4, 1, 4)
    targets = CentreTargets(heat, counted, nothing, torch.zeros(1, 1, 1, 4))
    expected = -(
        0.3**2 * math.log(0.7) + 0.5**4 * 0.4**2 * math.log(0.6) + 0.2**2 * math.log(0.8)
    )  # the centre, the half-heat neighbour, the background
    found = detector_loss(Detection(logits, nothing), targets, DetectorLossConfig(1, 0))
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_unknown_places_and_boxes_without_weight_get_no_gradient():
    targets = centre_targets(boxes([8, 8, 16, 16]), boxes([16, 0, 32, 32]), (8, 8), 4)
    logits = torch.zeros(1, 1, 8, 8, requires_grad=True)
    places = torch.tensor([0.0, 0, 4, 4])[None, :, None, None].repeat(1, 1, 8, 8).requires_grad_()
    detector_loss(Detection(logits, places), targets, DetectorLossConfig()).backward()
    assert not logits.grad[0, 0, :, 4:].any()
    assert logits.grad[0, 0, :, :4].all()
    assert ((places.grad.abs().sum(1) > 0) == (targets.weights[:, 0] > 0)).all()


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([0, 0, 2, 2], [0, 0, 2, 2], 1),
        ([0, 0, 2, 2], [1, 0, 3, 2], 2 / 6),
        ([0, 0, 1, 1], [2, 0, 3, 1], 0 - (3 - 2) / 3),
        ([0, 0, 4, 4], [1, 1, 3, 3], 4 / 16),
        ([0, 0, 1, 1], [2, 2, 3, 3], 0 - (9 - 2) / 9),
    ],
)
def test_generalised_iou_of_boxes_worked_by_hand(one, other, expected):
    pair = [torch.tensor(box, dtype=torch.float32)[None, :, None, None] for box in (one, other)]
    assert generalised_iou(*pair).item() == pytest.approx(expected, abs=1e-6)
    assert generalised_iou(*reversed(pair)).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("factors", [(0, 0), (-1, 5), (math.nan, 1), (1, math.inf)])
def test_factors_must_make_sense(factors):
    with pytest.raises(
        ConfigError,
        match=r"loss\.(centre|box) must be 0, or from 1e-06 to 1e\+06, not|loss\.centre and loss\.box must not both",
    ):
        DetectorLossConfig(*factors)
