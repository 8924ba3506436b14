"""Files that checkpoints come in: wrappers, what is refused and with which sentence; no code is ever run."""

import argparse
import os
import zipfile

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from safetensors.torch import save_file  # noqa: E402

from lightpose.errors import WeightsError  # noqa: E402
from lightpose.weights.foreign.convert import import_checkpoint  # noqa: E402
from lightpose.weights.foreign.recognise import MMPOSE, recognise  # noqa: E402
from lightpose.weights.network import save_network  # noqa: E402
from tests.weights.foreign_networks import PoseHRNet, PoseResNet  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module")
def state():
    """An LPN-50 without global context, as its authors' code saves it."""
    return PoseResNet(50, 17, lightweight=True).state_dict()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "theirs.pth"


def refused(path, text):
    with pytest.raises(WeightsError, match=text) as caught:
        import_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def same(imported, state):
    """Whether a network holds the state's numbers, up to names."""
    theirs = {name: value for name, value in state.items() if value.is_floating_point()}
    ours = [value for value in imported.network.state_dict().values() if value.is_floating_point()]
    return len(ours) == len(theirs) and all(torch.equal(*pair) for pair in zip(ours, theirs.values(), strict=True))


def stand_in(make):
    """The state dict of a network, each tensor a number of its own over and over, which takes no room."""
    with torch.device("meta"):
        state = make().state_dict()
    return {
        name: torch.tensor(number).to(value.dtype).expand(value.shape)
        for number, (name, value) in enumerate(state.items())
    }


def as_trained_by_microsofts_code(state):
    """Their checkpoint.pth.tar: the network's name under `model`, a numpy scalar, an optimizer."""
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(1))])
    return {
        "epoch": 3,
        "model": "lpn",
        "state_dict": state,
        "perf": np.float64(0.7),
        "optimizer": optimizer.state_dict(),
    }


WRAPPERS = {
    "bare": lambda state: state,
    "data parallel": lambda state: {f"module.{name}": value for name, value in state.items()},
    "under state_dict": lambda state: {"state_dict": state, "arrays": np.ones(3)},
    "under model": lambda state: {"model": state},
    "training": as_trained_by_microsofts_code,
    "without counts": lambda state: {n: v for n, v in state.items() if not n.endswith("num_batches_tracked")},
    "with a profiler's counters": lambda state: {
        **state,
        "total_ops": torch.ones(1),
        "conv1.total_params": torch.ones(1),
    },
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_wrapped_state_dicts_are_found(wrapper, state, path):
    torch.save(WRAPPERS[wrapper](state), path)
    assert same(import_checkpoint(path), state)


def test_files_of_old_pytorch_and_safetensors_are_read_too(state, path, tmp_path):
    torch.save(state, path, _use_new_zipfile_serialization=False)
    assert same(import_checkpoint(path), state)
    save_file({name: value.contiguous() for name, value in state.items()}, tmp_path / "theirs.safetensors")
    assert same(import_checkpoint(tmp_path / "theirs.safetensors"), state)


def test_numbers_of_half_precision_become_float32(state, path):
    half = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    torch.save(half, path)
    imported = import_checkpoint(path)
    assert {value.dtype for value in imported.network.parameters()} == {torch.float32}
    assert same(imported, {name: value.to(state[name].dtype) for name, value in half.items()})


def test_tensors_that_share_memory_in_the_file_do_not_in_the_network(state, path, tmp_path):
    tied = {**state, "layer1.1.bn1.bias": state["layer1.1.bn1.weight"]}
    torch.save(tied, path)
    imported = import_checkpoint(path)
    save_network(tmp_path / "ours.safetensors", imported.network, imported.spec)
    assert same(imported, tied)


def test_a_context_block_is_known_by_its_parts_whatever_it_is_called(path):
    state = PoseResNet(50, 17, lightweight=True, context=True).state_dict()
    torch.save({name.replace(".att.", ".gc_block."): value for name, value in state.items()}, path)
    assert same(import_checkpoint(path), state)


@pytest.mark.parametrize("head", ["keypoint_head", "head"])
def test_mmposes_prefixes_are_taken_off(head, path):
    ends = ("deconv_layers", "final_layer")
    state = stand_in(lambda: PoseResNet(50, 17))
    theirs = {f"{head if name.startswith(ends) else 'backbone'}.{name}": value for name, value in state.items()}
    torch.save({"state_dict": theirs, "meta": {"mmpose_version": "0.29.0", "config": "not Python ("}}, path)
    imported = import_checkpoint(path)
    assert same(imported, state)
    assert (imported.found.origin, imported.spec.color_order) == (MMPOSE, "rgb")


def changed(state, **others):
    return {**state, **{name.replace("__", "."): value for name, value in others.items()}}


FAULTS = {  # what is wrong → the state dict, the sentence
    "a tensor lacks": (
        lambda s: {n: v for n, v in s.items() if n not in ("bn1.bias", "layer2.1.conv3.weight")},
        "lacks bn1.bias, layer2.1.conv3.weight of lpn50; it is not whole",
    ),
    "a tensor too many": (
        lambda s: changed(s, extra__weight=torch.ones(1)),
        "holds extra.weight, for which lpn50 has no place",
    ),
    "one name twice": (
        lambda s: changed(s, module__bn1__bias=torch.ones(64)),
        r"holds module.bn1.bias, for which lpn50 has no place",
    ),
    "another shape": (
        lambda s: changed(s, final_layer__weight=torch.ones(17, 256, 3, 3)),
        r"final_layer.weight has the shape \(17, 256, 3, 3\), not \(17, 256, 1, 1\) as in lpn50",
    ),
    "not a number": (
        lambda s: changed(s, bn1__weight=torch.full((64,), torch.nan)),
        "bn1.weight has values that are no numbers",
    ),
    "complex": (lambda s: changed(s, bn1__weight=torch.ones(64) * 1j), "bn1.weight is stored as torch.complex64"),
    "sparse": (lambda s: changed(s, bn1__weight=torch.ones(64).to_sparse()), "bn1.weight is stored as .*sparse"),
    "a value that is no tensor": (lambda s: changed(s, conv1__weight=[1]), "holds 'conv1.weight', which is no tensor"),
    "a classifier": (lambda s: changed(s, fc__weight=torch.ones(9, 9)), r"classifies images, without heatmaps \(fc.we"),
    "squeeze-and-excitation": (
        lambda s: changed(s, layer1__0__att__fc__0__weight=torch.ones(9, 9)),
        "squeeze-and-excitation instead of global context",
    ),
    "another depth": (
        lambda s: {n: v for n, v in s.items() if not n.startswith("layer3.5.")},
        "a ResNet of 3, 4, 5, 3 blocks; lightpose has ResNet-50, -101 and -152",
    ),
    "no head": (
        lambda s: {n: v for n, v in s.items() if not n.startswith("final_layer")},
        "none of the networks that can be imported .* its tensors are conv1.weight, bn1.weight, bn1.bias, …",
    ),
    "other joints": (
        lambda s: changed(s, final_layer__weight=torch.ones(21, 256, 1, 1), final_layer__bias=torch.ones(21)),
        "holds lpn50 of .* with 21 heatmaps, and which joints these are is not known; name them in a skeleton file",
    ),
    "heatmaps and offsets": (
        lambda s: changed(s, final_layer__weight=torch.ones(51, 256, 1, 1), final_layer__bias=torch.ones(51)),
        "with 51 heatmaps .three for each joint: a UDP network with offsets",
    ),
    "no tensors": (lambda _: {"epoch": {}, "state_dict": {}}, "holds no tensors; give a checkpoint"),
    "a list": (lambda s: list(s.values()), "holds no tensors"),
    "names that are numbers": (lambda s: dict(enumerate(s.values())), "holds no tensors"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_fit_is_refused_by_name(fault, state, path):
    spoil, text = FAULTS[fault]
    torch.save(spoil(state), path)
    refused(path, text)


def test_a_hrnet_of_another_width_is_named():
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in PoseHRNet(18).state_dict().items()}
    with pytest.raises(WeightsError, match="is an HRNet-W18; lightpose has W32 and W48"):
        recognise(shapes)


class Malicious:
    def __reduce__(self):
        return os.mkdir, ("was_here",)


def test_code_in_a_file_is_refused_and_not_run(state, path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for content in (Malicious(), {"state_dict": state, "meta": Malicious()}):
        for zipped in (True, False):
            torch.save(content, path, _use_new_zipfile_serialization=zipped)
            refused(path, r"would have to run code to be read \((posix|nt).mkdir\), which lightpose does not")
    assert not (tmp_path / "was_here").exists()


def test_whole_networks_and_objects_are_refused_with_what_to_do(path, state):
    torch.save(torch.nn.ReLU(), path)
    refused(path, r"run code to be read \(torch.nn.modules.activation.ReLU\).*save the state_dict\(\)")
    torch.save({"state_dict": state, "args": argparse.Namespace(lr=1)}, path)
    refused(path, r"run code to be read \(argparse.Namespace\)")
    with zipfile.ZipFile(path, "w") as program:
        program.writestr("x/constants.pkl", b"")
    refused(path, r"is a TorchScript program; save the state_dict\(\)")


def test_damaged_and_other_files_are_refused(state, path, tmp_path):
    refused(tmp_path / "missing.pth", "no checkpoint at")
    refused(tmp_path, "no checkpoint at")
    for content, text in ((b"", "is empty"), (b"<!DOCTYPE html>", "is text, perhaps a download page"),
                          (b"\x80\x02garbage", "not a whole PyTorch checkpoint"), (b"PK\x03\x04", "not a whole"),
                          (bytes(range(255, -1, -1)) * 12, "not a whole PyTorch checkpoint")):  # fmt: skip
        path.write_bytes(content)
        refused(path, text)
    for zipped in (True, False):
        torch.save(state, path, _use_new_zipfile_serialization=zipped)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        refused(path, "is not a whole PyTorch checkpoint; copy or download it again")
    (tmp_path / "x.safetensors").write_bytes(b"\xff" * 100)
    refused(tmp_path / "x.safetensors", "is not a whole safetensors file")
    (tmp_path / "x.onnx").write_bytes(b"x")
    refused(tmp_path / "x.onnx", "is an ONNX graph, not a checkpoint")


def test_an_archive_that_would_grow_is_refused(state, path, tmp_path):
    torch.save(state, tmp_path / "plain.pth")
    with zipfile.ZipFile(tmp_path / "plain.pth") as plain, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    refused(path, "is a compressed archive, not a file that PyTorch wrote")


def test_a_file_of_ours_needs_no_import(state, path, tmp_path):
    torch.save(state, path)
    imported = import_checkpoint(path)
    save_network(tmp_path / "ours.safetensors", imported.network, imported.spec)
    refused(tmp_path / "ours.safetensors", "is lightpose's own already; use it as it is")


def test_caffes_resnet_which_has_the_same_tensors_is_told_by_its_name(tmp_path):
    path = tmp_path / "pose_resnet_50_256x192_caffe.pth.tar"
    torch.save(stand_in(lambda: PoseResNet(50, 17)), path)
    refused(path, "by its name .* in Caffe's style, with strides elsewhere")
