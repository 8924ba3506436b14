"""Exported graphs against PyTorch."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
from onnx import TensorProto, helper  # noqa: E402
from torch import nn  # noqa: E402

from lightpose.data.coco import read_coco  # noqa: E402
from lightpose.errors import ShapeError, WeightsError  # noqa: E402
from lightpose.export.pose import check_parity, export_checked, export_onnx, fold_batch_norm  # noqa: E402
from lightpose.inference.top_down import PredictOptions, predict_crops  # noqa: E402
from lightpose.io.images import read_image  # noqa: E402
from lightpose.models.lpn import LPN, lpn50  # noqa: E402
from lightpose.ops.codec import soft_argmax  # noqa: E402
from lightpose.ops.geometry import cut_crops, heatmap_scale  # noqa: E402
from lightpose.runtime.onnx import OnnxRuntime  # noqa: E402
from lightpose.runtime.torch import CropNetwork, TorchRuntime  # noqa: E402
from lightpose.skeletons import COCO17, Skeleton  # noqa: E402
from lightpose.types import ModelSpec  # noqa: E402
from tests.helpers import draw_set  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

THREE = Skeleton("three", ("nose", "left_hand", "right_hand"), (("nose", "left_hand"),), (0.1, 0.2, 0.3))


def randomise(network, seed=0):
    """Weights that keep what flows through at a size of about 1, and batch norms with statistics of their own."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(value, low, high):
        value.copy_(low + (high - low) * torch.rand(value.shape, generator=generator))

    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                reach = (3 / (module.weight[0].numel())) ** 0.5
                uniform(module.weight, -reach, reach)
                if module.bias is not None:
                    uniform(module.bias, -0.1, 0.1)
            elif isinstance(module, nn.BatchNorm2d):
                for value, low, high in (
                    (module.weight, 0.5, 1.2),
                    (module.bias, -0.2, 0.2),
                    (module.running_mean, -0.3, 0.3),
                    (module.running_var, 0.3, 1.5),
                ):
                    uniform(value, low, high)
        calm = network(torch.randn(2, 3, 64, 48, generator=generator))
        network.head.weight /= calm.abs().max().clamp(min=1e-3)
        network.head.bias /= calm.abs().max().clamp(min=1e-3)
    return network


@dataclasses.dataclass
class Exported:
    """A network, and the graph that it was exported to."""

    network: nn.Module
    spec: ModelSpec
    graph: OnnxRuntime


CASES = {
    "lpn50": (lambda: lpn50(17), ModelSpec("lpn50", COCO17, (64, 48), options={"gc": True})),
    "without global context, bgr, udp": (
        lambda: LPN((1, 1, 1, 1), 3, gc=False),
        ModelSpec(
            "small",
            THREE,
            (64, 48),
            {"gc": False},
            "bgr",
            (0.4, 0.5, 0.6),
            (0.2, 0.25, 0.3),
            "udp",
            1.4,
            "dark",
            40.0,
            1.5,
        ),
    ),
}


@pytest.fixture(scope="module", params=CASES)
def exported(request, tmp_path_factory):
    make, spec = CASES[request.param]
    network = randomise(make().eval())
    path = tmp_path_factory.mktemp("export") / "net.onnx"
    export_checked(network, spec, path)
    return Exported(network, spec, OnnxRuntime(path, threads=1))


def random_crops(count, spec, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *spec.input_hw, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def drawn_crops(tmp_path_factory):
    drawn = draw_set(tmp_path_factory.mktemp("drawn") / "set", (2, 1, 2))
    persons = read_coco(drawn.annotations, drawn.images).persons()
    return np.concatenate(
        [cut_crops(read_image(person.image_path), person.box_xywh, (64, 48), "msra")[0] for person in persons]
    )


def assert_agrees(exported, crops):
    """Heatmaps within 1e-4 of PyTorch's; keypoints within 0.05 px of their expectation under softmax."""
    expected = TorchRuntime(exported.network, exported.spec).heatmaps(crops)
    np.testing.assert_allclose(exported.graph.heatmaps(crops), expected, atol=1e-4)
    height, width = exported.spec.heatmap_hw
    flat = expected.reshape(*expected.shape[:2], -1).astype(np.float64) * exported.spec.beta
    share = np.exp(flat - flat.max(-1, keepdims=True))
    share /= share.sum(-1, keepdims=True)
    y, x = (place.ravel() for place in np.mgrid[:height, :width])
    scale = (4, 4) if exported.spec.geometry == "msra" else (47 / 11, 63 / 15)
    points = np.stack([(share * x).sum(-1) * scale[0], (share * y).sum(-1) * scale[1]], -1)
    keypoints = exported.graph.keypoints(crops)
    np.testing.assert_allclose(keypoints[..., :2], points, atol=0.05)
    return keypoints, expected


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_graph_gives_what_torch_gives_in_any_batch(exported, count):
    crops = random_crops(count, exported.spec)
    keypoints, heatmaps = assert_agrees(exported, crops)
    assert heatmaps.shape == (count, len(exported.spec.skeleton), 16, 12)
    assert keypoints.shape == (count, len(exported.spec.skeleton), 3)
    assert 0.05 < np.abs(heatmaps).max() < 20, "heatmaps of a size that 1e-4 means something for"


@pytest.mark.slow
def test_a_graph_gives_what_torch_gives_on_drawn_people(exported, drawn_crops):
    keypoints, _ = assert_agrees(exported, drawn_crops)
    assert np.ptp(keypoints[..., :2].reshape(-1, 2), axis=0).min() > 3, "keypoints do not all sit in one place"


def test_a_graph_takes_no_crops_and_gives_none(exported):
    crops = random_crops(0, exported.spec)
    assert exported.graph.heatmaps(crops).shape == (0, len(exported.spec.skeleton), 16, 12)
    assert exported.graph.keypoints(crops).shape == (0, len(exported.spec.skeleton), 3)


def test_scores_of_the_graph_are_heatmap_values(exported, drawn_crops):
    """A keypoint's score is a value of its map, and no more than its highest."""
    heatmaps, keypoints = exported.graph.heatmaps(drawn_crops), exported.graph.keypoints(drawn_crops)
    flat = heatmaps.reshape(*heatmaps.shape[:2], -1)
    assert (np.abs(flat - keypoints[..., 2:]).min(-1) < 1e-5).all()
    assert (keypoints[..., 2] <= flat.max(-1) + 1e-5).all()


def test_predicting_with_the_graph_is_predicting_with_torch(exported, drawn_crops):
    options = PredictOptions(flip=True, decoder="argmax")
    found = predict_crops(drawn_crops, exported.graph, options)
    expected = predict_crops(drawn_crops, TorchRuntime(exported.network, exported.spec), options)
    agree = (np.abs(found - expected).max(-1) < 1e-3).mean()
    assert agree > 0.95, "two highest pixels may be equal but for rounding, but not often"


def test_the_spec_comes_back_from_the_file(exported):
    assert exported.graph.spec == exported.spec
    assert exported.graph.name == "onnxruntime"


@pytest.mark.parametrize(
    "crops",
    [
        np.zeros((1, 48, 64, 3), np.uint8),
        np.zeros((1, 64, 48, 3), np.float32),
        np.zeros((64, 48, 3), np.uint8),
        np.zeros((1, 3, 64, 48), np.uint8),
    ],
    ids=["turned", "floats", "no batch", "channels first"],
)
def test_crops_of_another_shape_or_kind_are_refused(exported, crops):
    with pytest.raises(ShapeError, match=r"crops must be uint8 of shape \(N, 64, 48, 3\); got "):
        exported.graph.heatmaps(crops)


def test_normalisation_is_inside_in_the_specs_colour_order():
    """A network that passes on what it gets, so that its input can be read from its output."""
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
    spec = ModelSpec("pass", THREE, (64, 48), color_order="bgr", mean=mean, std=std, stride=1)
    crops = random_crops(2, spec)
    with torch.no_grad():
        heatmaps, _ = CropNetwork(nn.Identity(), spec)(torch.from_numpy(crops))
    for channel, color in enumerate((2, 1, 0)):  # blue first
        expected = (crops[..., color] / 255 - mean[channel]) / std[channel]
        np.testing.assert_allclose(heatmaps[:, channel].numpy(), expected, atol=1e-5)


def test_rgb_and_bgr_weights_see_each_others_pictures_mirrored_in_colour():
    rgb = ModelSpec("small", THREE, (64, 48), mean=(0.5,) * 3, std=(0.5,) * 3)
    bgr = dataclasses.replace(rgb, color_order="bgr")
    network, crops = randomise(LPN((1, 1, 1, 1), 3).eval()), random_crops(2, rgb)
    expected = TorchRuntime(network, rgb).heatmaps(np.ascontiguousarray(crops[..., ::-1]))
    np.testing.assert_allclose(TorchRuntime(network, bgr).heatmaps(crops), expected, atol=1e-5)
    assert np.abs(TorchRuntime(network, rgb).heatmaps(crops) - expected).max() > 0.01


def test_folding_batch_norm_changes_no_output():
    network = randomise(LPN((1, 2, 1, 1), 5).eval())
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    folded = fold_batch_norm(network)
    assert network.training, "the network itself is left as it was"
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not folded.training
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    x = torch.randn(3, 3, 64, 48, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = network.eval()(x)
        torch.testing.assert_close(folded(x), expected, atol=1e-4, rtol=1e-4)
    assert float(expected.std()) > 0.01


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(6, 4, 3, padding=1, bias=True),
        nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False),
        nn.ConvTranspose2d(6, 4, 4, stride=2, padding=1, groups=1, bias=False),
        nn.ConvTranspose2d(6, 4, 4, stride=2, padding=1, groups=2, bias=True),
        nn.ConvTranspose2d(6, 6, 4, stride=2, padding=1, groups=6, bias=False),
    ],
    ids=str,
)
def test_every_kind_of_convolution_takes_its_batch_norm_in(convolution):
    norm = nn.BatchNorm2d(convolution.out_channels)
    generator = torch.Generator().manual_seed(0)
    for value in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
        value.copy_(torch.rand(value.shape, generator=generator) + 0.1)
    network = nn.Sequential(convolution, norm).eval()
    x = torch.randn(2, 6, 5, 4, generator=generator)
    with torch.no_grad():
        torch.testing.assert_close(fold_batch_norm(network)(x), network(x), atol=1e-5, rtol=1e-5)


class Small(nn.Module):
    """The least that can be exported: one convolution to three maps at stride 4."""

    def __init__(self, size=0.1):
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 4, stride=4, bias=False)
        nn.init.constant_(self.convolution.weight, size)
        self.convolution.weight.data *= torch.linspace(-1, 1, 144).reshape(3, 3, 4, 4)

    def forward(self, x):
        return self.convolution(x)


SMALL_SPEC = ModelSpec("small", THREE, (64, 48))


@pytest.mark.slow
def test_exporting_leaves_the_network_alone_and_one_file(tmp_path):
    network = Small().train()
    before = network.convolution.weight.clone()
    parity = export_checked(network, SMALL_SPEC, tmp_path / "small.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["small.onnx"]
    assert network.training
    assert torch.equal(network.convolution.weight, before)
    assert parity.heatmaps <= 1e-4
    assert parity.keypoints_px <= 0.05


@pytest.mark.slow
def test_parity_tells_how_far_a_graph_is_from_another_network(tmp_path):
    """Weights 0.01 larger in one place: each heatmap value differs by 0.01 of one normalised pixel."""
    network, other = Small(), Small()
    export_onnx(network, SMALL_SPEC, tmp_path / "small.onnx")
    other.convolution.weight.data[1, 2, 0, 3] += 0.01
    crops = random_crops(3, SMALL_SPEC)
    blue = (crops[:, ::4, 3::4, 2] / 255 - SMALL_SPEC.mean[2]) / SMALL_SPEC.std[2]
    parity = check_parity(tmp_path / "small.onnx", other, SMALL_SPEC, crops)
    assert parity.heatmaps == pytest.approx(0.01 * np.abs(blue).max(), rel=1e-3)
    here, there = (
        soft_argmax(TorchRuntime(each, SMALL_SPEC).heatmaps(crops))[..., :2] * heatmap_scale((64, 48), (16, 12), "msra")
        for each in (network, other)
    )
    assert parity.keypoints_px == pytest.approx(np.abs(here - there).max(), abs=1e-3)


def weak_network(size):
    """Two layers to add up, so that the order matters, and a last one of that size."""
    network = nn.Sequential(Small(1.0), nn.Conv2d(3, 64, 1), nn.Conv2d(64, 64, 3, padding=1), nn.Conv2d(64, 3, 1))
    network[3].weight.data *= size
    return network


class Moody(Small):
    """A network that gives something else each time, so that no graph can agree with it."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x) + 0.001 * self.calls

    def __deepcopy__(self, memo):
        return Small()


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["onnx", "xml", "pt"])
def test_a_graph_that_differs_from_torch_is_not_kept(tmp_path, suffix):
    """An earlier file stays."""
    if suffix == "xml":
        pytest.importorskip("openvino")
    (tmp_path / f"small.{suffix}").write_bytes(b"earlier")
    with pytest.raises(WeightsError, match=r"the exported graph differs from PyTorch by .* so it was not kept"):
        export_checked(Moody(), SMALL_SPEC, tmp_path / f"small.{suffix}")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(f"small.{suffix}", b"earlier")]


@pytest.mark.slow
def test_untrained_networks_with_huge_heatmaps_are_exported(tmp_path):
    """Heatmaps of ten million differ by more than 1e-4 from any other way to add them up, and by next to nothing."""
    parity = export_checked(weak_network(1e7), SMALL_SPEC, tmp_path / "small.onnx")
    assert parity.reach > 1e6
    assert parity.heatmaps < 1e-5 * parity.reach


@pytest.mark.slow
@pytest.mark.parametrize(("suffix", "files"), [("pt", ["small.pt"]), ("xml", ["small.bin", "small.xml"])])
def test_every_format_agrees_with_torch_and_is_written_whole(tmp_path, suffix, files):
    if suffix == "xml":
        pytest.importorskip("openvino")
    network = randomise(LPN((1, 1, 1, 1), 3).eval())
    parity = export_checked(network, SMALL_SPEC, tmp_path / f"small.{suffix}", random_crops(3, SMALL_SPEC))
    assert parity.holds
    assert sorted(path.name for path in tmp_path.iterdir()) == files


def test_torchscript_carries_the_spec_and_takes_any_batch(tmp_path):
    network = randomise(LPN((1, 1, 1, 1), 3).eval())
    export_checked(network, SMALL_SPEC, tmp_path / "small.pt")
    extra = {"lightpose": ""}
    graph = torch.jit.load(tmp_path / "small.pt", _extra_files=extra)
    assert ModelSpec.from_json(extra["lightpose"]) == SMALL_SPEC
    for count in (1, 5):
        crops = random_crops(count, SMALL_SPEC)
        heatmaps, keypoints = graph(torch.from_numpy(crops))
        np.testing.assert_allclose(heatmaps.numpy(), TorchRuntime(network, SMALL_SPEC).heatmaps(crops), atol=1e-4)
        assert keypoints.shape == (count, 3, 3)


def test_a_suffix_of_no_format_is_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"small\.tflite must end in \.onnx, \.xml, \.pt or \.safetensors"):
        export_checked(Small(), SMALL_SPEC, tmp_path / "small.tflite")


@pytest.mark.slow
def test_a_graph_that_gives_no_numbers_is_not_kept(tmp_path):
    with pytest.raises(WeightsError):
        export_checked(weak_network(float("nan")), SMALL_SPEC, tmp_path / "small.onnx")
    assert list(tmp_path.iterdir()) == []


def plain_graph(path, metadata):
    """An ONNX file of another program: it gives back its input."""
    value = [helper.make_tensor_value_info(name, TensorProto.UINT8, ["n", 64, 48, 3]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "plain", value[:1], value[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, metadata)
    onnx.save(model, path)


@pytest.mark.parametrize("metadata", [{}, {"lightpose": SMALL_SPEC.to_json()}], ids=["no spec", "no such outputs"])
def test_a_graph_of_another_program_is_refused(tmp_path, metadata):
    plain_graph(tmp_path / "plain.onnx", metadata)
    with pytest.raises(WeightsError, match=r"plain\.onnx does not say which model, joints and input it is for"):
        OnnxRuntime(tmp_path / "plain.onnx")


@pytest.mark.parametrize("content", [b"", b"not onnx", b"\x08\x09" * 50], ids=["empty", "text", "noise"])
def test_what_is_no_onnx_file_is_refused(tmp_path, content):
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(WeightsError, match=r"net\.onnx is not a whole ONNX file"):
        OnnxRuntime(tmp_path / "net.onnx")


def test_a_missing_graph_is_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"nowhere\.onnx"):
        OnnxRuntime(tmp_path / "nowhere.onnx")
