"""Weights files: what is written comes back, and what does not fit is refused with the reason."""

import dataclasses

import pytest

torch = pytest.importorskip("torch")
from safetensors import safe_open  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from torch import nn  # noqa: E402

from lightpose.errors import WeightsError  # noqa: E402
from lightpose.models import build  # noqa: E402
from lightpose.skeletons import COCO17, LSP14, Skeleton  # noqa: E402
from lightpose.types import ModelSpec  # noqa: E402
from lightpose.weights.network import load_into, load_network, save_network  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

SPEC = ModelSpec(
    "lpn50",
    Skeleton("hand", ("thumb", "left_tip", "right_tip"), (("thumb", "left_tip"),), (0.05, 0.06, 0.07)),
    input_hw=(64, 48),
    options={"gc": False},
    color_order="bgr",
    mean=(0.1, 0.2, 0.3),
    std=(0.4, 0.5, 0.6),
    geometry="udp",
    decoder="dark",
    beta=80.0,
    sigma=1.5,
)


def random_network(spec, seed=0):
    """A network none of whose tensors is as it was born."""
    network = build(spec)
    generator = torch.Generator().manual_seed(seed)
    for value in network.state_dict().values():
        value.copy_(torch.rand(value.shape, generator=generator) if value.is_floating_point() else torch.tensor(7))
    return network


@pytest.fixture(scope="module")
def network():
    return random_network(SPEC)


@pytest.fixture
def path(network, tmp_path):
    save_network(tmp_path / "net.safetensors", network, SPEC)
    return tmp_path / "net.safetensors"


def rewrite(path, metadata=..., tensors=None):
    """The file with other metadata or tensors."""
    with safe_open(path, framework="pt") as file:
        old = file.metadata()
    save_file(tensors or load_file(path), path, metadata=old if metadata is ... else metadata)


def test_a_network_comes_back_to_the_bit_with_its_spec(network, path):
    found, spec = load_network(path)
    assert spec == SPEC
    assert not found.training
    expected = network.state_dict()
    assert list(found.state_dict()) == list(expected)
    for name, value in found.state_dict().items():
        assert value.dtype == expected[name].dtype
        assert torch.equal(value, expected[name]), name


def test_a_network_in_another_memory_layout_is_written_the_same(path, tmp_path):
    turned = random_network(SPEC).to(memory_format=torch.channels_last)
    save_network(tmp_path / "turned.safetensors", turned, SPEC)
    assert (tmp_path / "turned.safetensors").read_bytes() == path.read_bytes()


def test_half_a_file_rounds_each_weight_to_sixteen_bits(network, path, tmp_path):
    save_network(tmp_path / "half.safetensors", network, SPEC, half=True)
    found, spec = load_network(tmp_path / "half.safetensors")
    assert spec == SPEC
    for name, value in network.state_dict().items():
        expected = value.to(torch.float16).to(torch.float32) if value.is_floating_point() else value
        assert found.state_dict()[name].dtype == value.dtype
        assert torch.equal(found.state_dict()[name], expected), name
    assert (tmp_path / "half.safetensors").stat().st_size < 0.55 * path.stat().st_size


def test_saving_leaves_the_network_alone_and_no_other_file(network, tmp_path):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    save_network(tmp_path / "half.safetensors", network, SPEC, half=True)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(value.dtype == before[name].dtype for name, value in network.state_dict().items())
    assert network.training
    assert [file.name for file in tmp_path.iterdir()] == ["half.safetensors"]


def test_load_into_takes_the_weights_whatever_the_crop_they_were_trained_on(network, path):
    other = dataclasses.replace(SPEC, input_hw=(128, 96), geometry="msra", sigma=2.0)
    fresh = build(other)
    load_into(path, fresh, other)
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in fresh.state_dict().items())


@pytest.mark.parametrize(
    ("skeleton", "text"),
    [
        (LSP14, r"net\.safetensors has the 3 joints of 'hand', the network has the 14 of 'lsp14'"),
        (Skeleton("foot", ("thumb", "right_tip", "left_tip")), r"has the 3 joints of 'hand', .* the 3 of 'foot'"),
    ],
    ids=["other number", "other order"],
)
def test_weights_for_other_joints_are_refused(path, skeleton, text):
    spec = dataclasses.replace(SPEC, skeleton=skeleton)
    fresh = build(spec)
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    with pytest.raises(WeightsError, match=text):
        load_into(path, fresh, spec)
    assert all(torch.equal(value, before[name]) for name, value in fresh.state_dict().items())


@pytest.mark.parametrize("change", [{"options": {"gc": True}}, {"model": "lpn101"}], ids=["option", "model"])
def test_weights_of_another_architecture_are_refused(path, change):
    spec = dataclasses.replace(SPEC, **change)
    with pytest.raises(WeightsError, match=r"net\.safetensors does not fit its network: "):
        load_into(path, build(spec), spec)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"cannot read the weights .*nowhere\.safetensors: No such file"):
        load_network(tmp_path / "nowhere.safetensors")


def test_a_folder_is_no_weights_file(tmp_path):
    with pytest.raises(WeightsError):
        load_network(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 a pickle", b"\xff" * 100], ids=["empty", "another kind", "noise"]
)
def test_what_is_no_safetensors_file_is_refused(tmp_path, content):
    (tmp_path / "net.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match=r"net\.safetensors is not a whole safetensors file"):
        load_network(tmp_path / "net.safetensors")


@pytest.mark.parametrize("share", [0.0001, 0.5, 0.999])
def test_a_file_cut_short_is_refused(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(WeightsError, match=r"net\.safetensors is not a whole safetensors file"):
        load_network(path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_a_file_without_a_spec_is_refused(path, metadata):
    rewrite(path, metadata)
    with pytest.raises(WeightsError, match=r"net\.safetensors does not say which model, joints and input it is for"):
        load_network(path)


@pytest.mark.parametrize("text", ["", "{}", "[1]", SPEC.to_json()[:-30], SPEC.to_json().replace("udp", "uvp")])
def test_a_damaged_spec_is_refused(path, text):
    rewrite(path, {"lightpose": text})
    with pytest.raises(WeightsError, match=r"the model's description is damaged or from another version"):
        load_network(path)


@pytest.mark.parametrize(("change", "text"), [({"model": "lpn500"}, "lpn500"), ({"options": {"width": 3}}, "width")])
def test_a_spec_of_a_network_nobody_knows_is_refused(path, change, text):
    rewrite(path, {"lightpose": dataclasses.replace(SPEC, **change).to_json()})
    with pytest.raises(WeightsError, match=text):
        load_network(path)


def test_a_spec_with_other_joints_than_the_tensors_is_refused(path):
    rewrite(path, {"lightpose": dataclasses.replace(SPEC, skeleton=COCO17).to_json()})
    with pytest.raises(WeightsError, match=r"net\.safetensors does not fit its network: size mismatch for head\."):
        load_network(path)


@pytest.mark.parametrize("number", [0, 1], ids=["missing", "unexpected"])
def test_a_file_with_other_tensors_than_the_network_is_refused(path, number):
    tensors = load_file(path)
    if number == 0:
        del tensors["head.bias"]
    else:
        tensors["tail.bias"] = torch.zeros(3)
    rewrite(path, tensors=tensors)
    with pytest.raises(WeightsError, match=[r'Missing key\(s\).*"head\.bias"', r'Unexpected key\(s\).*"tail'][number]):
        load_network(path)


def test_a_failed_save_keeps_the_old_file(path, tmp_path):
    """A network whose tensors cannot be written: two names for one memory, which safetensors refuses."""
    before = path.read_bytes()
    twins = nn.Module()
    twins.a = nn.Linear(2, 2)
    twins.b = twins.a
    with pytest.raises(Exception, match="share memory"):
        save_network(path, twins, SPEC)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["net.safetensors"]
