"""The networks to measure beside cost what their makers publish."""

import pytest

pytest.importorskip("torch")

import torch

from benchmarks.peers import PUBLISHED, SCALES, RTMPose, cost


@pytest.mark.parametrize("name", SCALES)
def test_rtmpose_has_the_published_parameters_and_operations(name):
    """Theirs count batch norm and activations too, which are a hundredth of all."""
    with torch.device("meta"):
        parameters, macs = cost(RTMPose(*SCALES[name]).eval())
    assert round(parameters, 2) == PUBLISHED[name][0]
    assert macs == pytest.approx(PUBLISHED[name][1], abs=0.015)
