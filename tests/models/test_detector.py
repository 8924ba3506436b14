"""The person detector: its size and shapes, how it starts, and its decoding against plain loops."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from lightpose.errors import ConfigError, ShapeError  # noqa: E402
from lightpose.models import DETECTORS, build_detector, initialise_kaiming  # noqa: E402
from lightpose.models.detector import Detection, decode, lpn50_person  # noqa: E402
from lightpose.models.lpn import lpn50  # noqa: E402
from lightpose.types import DetectorSpec  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def test_it_has_about_a_million_parameters():
    assert sum(parameter.numel() for parameter in lpn50_person().parameters()) == 1_311_622


def test_it_begins_with_the_layers_of_lpn50_by_name_and_shape():
    mine, theirs = lpn50_person().state_dict(), lpn50().state_dict()
    shared = {name: value.shape for name, value in mine.items() if name.startswith(("stem", "layers"))}
    assert shared == {
        name: value.shape
        for name, value in theirs.items()
        if name.startswith(("stem", "layers.0", "layers.1", "layers.2"))
    }


def test_it_costs_less_than_two_poses():
    """Multiply-accumulates at 320×320 and of LPN-50 at 256×192, as PyTorch counts them."""
    from torch.utils.flop_counter import FlopCounterMode

    costs = []
    for network, hw in ((lpn50_person(), (320, 320)), (lpn50(), (256, 192))):
        with torch.device("meta"):
            pixels = torch.zeros((1, 3, *hw))
        with FlopCounterMode(display=False) as counter:
            network.to("meta").eval()(pixels)
        costs.append(counter.get_total_flops() / 2)
    assert costs[0] == pytest.approx(1.297e9, rel=1e-3)
    assert costs[0] < 1.25 * costs[1]


@pytest.mark.parametrize("stride", [4, 8, 16])
@pytest.mark.parametrize("gc", [True, False])
def test_maps_have_the_stride_and_boxes_start_around_their_place(stride, gc):
    """Of an untrained network each box is a square of 48 pixels around its position, and nobody is likely."""
    torch.manual_seed(0)
    network = build_detector(DetectorSpec("lpn50_person", (64, 96), {"stride": stride, "gc": gc}))
    found = network(torch.randn(2, 3, 64, 96))
    assert found.logits.shape == (2, 1, 64 // stride, 96 // stride)
    assert found.boxes.shape == (2, 4, 64 // stride, 96 // stride)
    x, y = torch.meshgrid(torch.arange(96 // stride), torch.arange(64 // stride), indexing="xy")
    middle = torch.stack([x, y, x, y]) * stride + stride / 2
    expected = middle + torch.tensor([-24, -24, 24, 24])[:, None, None]
    assert (found.boxes - expected).abs().max() < 2
    assert found.logits.sigmoid().max() < 0.02


def test_sides_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match=r"H and W multiples of 32, not \(1, 3, 64, 48\)"):
        lpn50_person()(torch.zeros(1, 3, 64, 48))


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (DetectorSpec("lpn51_person"), "unknown detector 'lpn51_person'; use lpn50_person"),
        (DetectorSpec("lpn50_person", options={"depth": 3}), "detector 'lpn50_person' does not take the options"),
        (DetectorSpec("lpn50_person", options={"stride": 2}), "a detector's stride must be 4, 8 or 16, not 2"),
    ],
)
def test_a_spec_that_names_no_detector_is_refused(spec, text):
    with pytest.raises(ConfigError, match=text):
        build_detector(spec)


def test_every_name_builds():
    assert all(build_detector(DetectorSpec(name)).size_multiple == 32 for name in DETECTORS)


def test_decoding_takes_the_best_local_maxima():
    """Against a loop over positions and their neighbours."""
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(2, 1, 7, 9)).astype(np.float32)
    boxes = generator.normal(size=(2, 4, 7, 9)).astype(np.float32)
    found, scores = decode(Detection(torch.from_numpy(logits), torch.from_numpy(boxes)), 5)
    assert (found.shape, scores.shape) == ((2, 5, 4), (2, 5))
    for picture in range(2):
        heat = logits[picture, 0]
        peaks = [
            (heat[row, column], row, column)
            for row in range(7)
            for column in range(9)
            if heat[row, column] == heat[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].max()
        ]
        best = sorted(peaks, reverse=True)[:5]
        np.testing.assert_allclose(scores[picture], [1 / (1 + np.exp(-value)) for value, *_ in best], rtol=1e-5)
        np.testing.assert_array_equal(found[picture], [boxes[picture, :, row, column] for _, row, column in best])


def test_a_small_picture_gives_as_many_boxes_as_it_has_positions():
    found, scores = decode(Detection(torch.zeros(1, 1, 2, 3), torch.zeros(1, 4, 2, 3)))
    assert (found.shape, scores.shape) == ((1, 6, 4), (1, 6))


def test_a_batch_gives_what_each_picture_gives():
    torch.manual_seed(0)
    network = lpn50_person().eval()
    initialise_kaiming(network)
    pixels = torch.randn(3, 3, 64, 64)
    together = network(pixels)
    alone = [network(pixels[number : number + 1]) for number in range(3)]
    for one, each in zip(together, zip(*alone, strict=True), strict=True):
        torch.testing.assert_close(one, torch.cat(each), rtol=1e-4, atol=1e-4)
