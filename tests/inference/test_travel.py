"""An estimator in other processes and threads: copied, pickled, forked, spawned."""

import copy
import multiprocessing
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

from lightpose import PoseEstimator
from lightpose.errors import WeightsError
from lightpose.io.images import read_image
from lightpose.types import ImageArray
from lightpose.weights import find_weights
from lightpose.weights.open import open_runtime

PHOTO = Path(__file__).parents[2] / "examples/photos/astronaut.jpg"
NETWORK = Path(__file__).parents[2] / "weights/lpn50.safetensors"


@pytest.fixture(scope="module")
def estimator() -> PoseEstimator:
    return PoseEstimator(threads=1)


@pytest.fixture(scope="module")
def image() -> ImageArray:
    return read_image(PHOTO)


def keypoints(estimator: PoseEstimator, image: ImageArray) -> np.ndarray:
    return estimator.predict(image).keypoints


@pytest.mark.parametrize("travel", [copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
def test_a_copy_gives_the_same_answers(estimator: PoseEstimator, image: ImageArray, travel):
    other = travel(estimator)
    assert other.options == estimator.options
    np.testing.assert_array_equal(keypoints(other, image), keypoints(estimator, image))


@pytest.mark.slow
@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_other_processes_give_the_same_answers(estimator: PoseEstimator, image: ImageArray, how: str):
    if sys.platform == "win32" and how == "fork":
        pytest.skip("Windows cannot fork")
    expected = keypoints(estimator, image)
    with multiprocessing.get_context(how).Pool(2) as pool:
        for found in pool.starmap(keypoints, [(estimator, image)] * 2):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
def test_a_forked_process_may_use_what_it_inherits(estimator: PoseEstimator, image: ImageArray):
    """No pickle takes part: the session of the parent, whose threads are not in the child, is opened again."""
    if sys.platform == "win32":
        pytest.skip("Windows cannot fork")
    expected = keypoints(estimator, image)
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=lambda: answers.put(keypoints(estimator, image)))
    child.start()
    np.testing.assert_array_equal(answers.get(timeout=60), expected)
    child.join(60)
    assert child.exitcode == 0


@pytest.mark.slow
def test_openvino_travels_too(image: ImageArray):
    pytest.importorskip("openvino")
    runtime = open_runtime("lpn50", 1, "openvino")
    crops = np.ascontiguousarray(image[None, :256, :192])
    other = pickle.loads(pickle.dumps(runtime))
    np.testing.assert_array_equal(other.heatmaps(crops), runtime.heatmaps(crops))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["latency", "throughput", "torch"])
def test_a_forked_process_may_use_any_engine_that_ran_in_its_parent_with_several_threads(image: ImageArray, kind: str):
    """OpenVINO closed in the child, and PyTorch with several threads there, wait without end."""
    if sys.platform == "win32":
        pytest.skip("Windows cannot fork")
    pytest.importorskip("torch" if kind == "torch" else "openvino")
    if kind == "torch":
        if not NETWORK.exists():
            pytest.skip("only a checkout has the network's weights")
        runtime = open_runtime(NETWORK, 2)
    else:
        runtime = open_runtime("lpn50", 2, "openvino", kind)
    crops = np.ascontiguousarray(image[None, :256, :192])
    expected = runtime.heatmaps(crops)
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=lambda: answers.put(runtime.heatmaps(crops)), daemon=True)
    child.start()
    np.testing.assert_allclose(answers.get(timeout=60), expected, atol=1e-5)
    child.join(60)
    assert child.exitcode == 0


def test_a_file_that_has_moved_is_named(tmp_path: Path):
    path = tmp_path / "mine.onnx"
    path.write_bytes(find_weights("lpn50").read_bytes())
    packed = pickle.dumps(open_runtime(path, 1))
    path.unlink()
    with pytest.raises(WeightsError, match=r"mine\.onnx"):
        pickle.loads(packed)
