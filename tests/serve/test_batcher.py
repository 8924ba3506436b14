"""The batcher: the same bytes as alone, no waiting for a lone client, and a bad job that harms no other."""

import json
import threading

import numpy as np
import pytest

from lightpose import PoseEstimator, read_image
from lightpose.errors import BoxesError, ConfigError, WeightsError
from lightpose.results import Boxes
from lightpose.serve.batcher import Batcher, Job, gives_same_bits
from lightpose.types import Frame
from tests.runtime.one_stage_graphs import KINDS
from tests.serve.conftest import PHOTOS


@pytest.fixture(scope="module")
def images():
    return [read_image(PHOTOS / name) for name in ("astronaut.jpg", "grace_hopper.jpg", "photographer.png")]


@pytest.fixture(scope="module")
def estimator():
    return PoseEstimator(threads=1)


class Held:
    """A detector that waits until it is let go, so that what comes meanwhile is one batch."""

    def __init__(self) -> None:
        self.go, self.begun = threading.Event(), threading.Event()
        self.wait = False

    def __call__(self, image):
        if self.wait:
            self.begun.set()
            self.go.wait(30)
        if image.shape[0] == 13:
            raise WeightsError("thirteen")
        return Boxes(np.array([[0, 0, image.shape[1], image.shape[0]]], np.float32))


def frames(*images):
    return [Frame(image, str(number)) for number, image in enumerate(images)]


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_answers_in_a_batch_are_to_the_byte_those_of_a_request_alone(images, threads):
    estimator = PoseEstimator(threads=threads)
    alone = [estimator.predict(image).to_dict() for image in images]
    boxed = estimator.predict(images[0], boxes=[[10, 20, 300, 400], [100, 20, 200, 300]]).to_dict()
    batcher = Batcher(estimator)
    held = [Job(Frame(image)) for image in (*images, *images, images[0])]
    given = Job(Frame(images[0]), Boxes([[10, 20, 300, 400], [100, 20, 200, 300]]))
    futures = [batcher.submit(job) for job in (*held, given)]
    batcher.start()
    found = [future.result(60).to_dict() for future in futures]
    batcher.stop(30)
    wanted = [*alone, *alone, alone[0], boxed]
    assert [json.dumps(each) for each in found] == [json.dumps(each) for each in wanted]


def test_the_bundled_networks_give_the_same_bits_in_every_batch(estimator):
    assert gives_same_bits(estimator.runtime, 8)


def test_a_network_whose_bits_depend_on_the_batch_is_run_image_by_image(estimator, images):
    class Fickle:
        """Adds a little to crops that have company."""

        def __getattr__(self, name):
            return getattr(estimator.runtime, name)

        def heatmaps(self, crops):
            return estimator.runtime.heatmaps(crops) + np.float32(1e-6 * (len(crops) - 1))

    fickle = PoseEstimator(threads=1, batch=3)
    fickle.runtime = Fickle()
    assert not gives_same_bits(fickle.runtime, 2)
    sizes = []
    batcher = Batcher(fickle, told=sizes.append)
    futures = [batcher.submit(Job(frame)) for frame in frames(*images)]
    batcher.start()
    assert [future.result(60).name for future in futures] == ["0", "1", "2"]
    batcher.stop(30)
    assert sizes == [1, 1, 1]


def test_jobs_that_wait_become_one_batch_and_each_gets_its_own_answer():
    held = Held()
    batcher = Batcher(PoseEstimator(detector=held, threads=1, batch=6), max_wait_s=0, told=lambda n: sizes.append(n))
    sizes: list[int] = []
    batcher.start()
    assert batcher.ready.wait(60)
    held.wait = True
    first = batcher.submit(Job(Frame(np.zeros((20, 10, 3), np.uint8), "first")))
    assert held.begun.wait(30)
    shapes = [(20 + number, 10) for number in range(6)]
    others = [batcher.submit(Job(Frame(np.zeros((*hw, 3), np.uint8), f"{hw[0]}", 7))) for hw in shapes]
    assert others[3].cancel()
    assert batcher.waiting == 6
    held.wait = False
    held.go.set()
    assert first.result(30).name == "first"
    for hw, other in zip(shapes, others, strict=True):
        if not other.cancelled():
            poses = other.result(30)
            assert (poses.image_hw, poses.name, poses.frame) == (hw, f"{hw[0]}", 7)
    batcher.stop(30)
    assert sizes == [1, 5]


def test_a_job_that_fails_fails_alone():
    held = Held()
    batcher = Batcher(PoseEstimator(detector=held, threads=1, batch=6))
    sizes = [20, 13, 21]
    futures = [batcher.submit(Job(Frame(np.zeros((side, 10, 3), np.uint8)))) for side in sizes]
    outside = batcher.submit(Job(Frame(np.zeros((20, 10, 3), np.uint8)), Boxes([[500, 0, 10, 10]])))
    batcher.start()
    assert [len(futures[0].result(60)), len(futures[2].result(60))] == [1, 1]
    with pytest.raises(WeightsError, match="thirteen"):
        futures[1].result(60)
    with pytest.raises(BoxesError, match="outside"):
        outside.result(60)
    batcher.stop(30)


def test_one_that_no_error_was_foreseen_for_fails_alone_too(estimator, images):
    batcher = Batcher(estimator)
    odd = batcher.submit(Job(Frame("no image")))
    good = batcher.submit(Job(Frame(images[0])))
    batcher.start()
    assert len(good.result(60)) == 1
    with pytest.raises(AttributeError):
        odd.result(60)
    batcher.stop(30)


def test_a_lone_client_never_waits_for_others(estimator, images):
    batcher, sizes = Batcher(estimator, max_wait_s=3600, told=lambda n: sizes.append(n)), []
    batcher.start()
    for _ in range(3):
        batcher.submit(Job(Frame(images[0]), Boxes(np.zeros((0, 4), np.float32)))).result(60)
    batcher.stop(30)
    assert sizes == [1, 1, 1]


def test_after_a_batch_of_several_as_many_are_waited_for(estimator, images):
    batcher, sizes = Batcher(estimator, max_wait_s=3600, told=lambda n: sizes.append(n)), []
    nobody = Boxes(np.zeros((0, 4), np.float32))
    for _ in range(3):
        batcher.submit(Job(Frame(images[0]), nobody))
    batcher.start()
    assert batcher.ready.wait(60)
    for _ in range(2):
        batcher.submit(Job(Frame(images[0]), nobody))
    batcher.submit(Job(Frame(images[0]), nobody)).result(60)
    batcher.stop(30)
    assert sizes == [3, 3]


def test_what_waits_is_answered_after_stop_and_what_comes_then_is_cancelled(estimator, images):
    batcher = Batcher(estimator)
    waiting = [batcher.submit(Job(Frame(image))) for image in images]
    batcher.start()
    batcher.stop(60)
    assert all(future.done() for future in waiting)
    assert batcher.submit(Job(Frame(images[0]))).cancelled()


def test_a_network_that_cannot_be_run_is_told_and_nobody_waits_for_it(images):
    def broken(_):
        raise WeightsError("broken")

    batcher = Batcher(PoseEstimator(detector=broken, threads=1, batch=2))
    waiting = batcher.submit(Job(Frame(images[0])))
    batcher.start()
    batcher.stop(30)
    assert str(batcher.failure) == "broken"
    assert waiting.cancelled()
    assert not batcher.ready.is_set()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_one_that_finds_boxes_and_joints_at_once_answers_as_predict_does(tmp_path, images, kind, threads):
    estimator = PoseEstimator(KINDS[kind](tmp_path / "pose.onnx"), threads=threads)
    alone = [json.dumps(estimator.predict(image).to_dict()) for image in images]
    batcher, sizes = Batcher(estimator, told=lambda n: sizes.append(n)), []
    futures = [batcher.submit(Job(Frame(image))) for image in images]
    sure = batcher.submit(Job(Frame(images[0]), min_person_score=0.85))
    asked = [
        batcher.submit(Job(Frame(images[0]), **more)) for more in ({"boxes": Boxes([[0, 0, 9, 9]])}, {"flip": True})
    ]
    batcher.start()
    assert [json.dumps(future.result(60).to_dict()) for future in futures] == alone
    everybody = estimator.predict(images[0])
    assert json.dumps(sure.result(60).to_dict()) == json.dumps(everybody[everybody.scores >= 0.85].to_dict())
    assert 0 < len(sure.result(60)) < len(everybody)
    for what, future in zip(("boxes", "flip"), asked, strict=True):
        with pytest.raises(ConfigError, match=f"finds boxes and joints at once in whole images; leave {what} out"):
            future.result(60)
    batcher.stop(30)
    assert sizes == [6]
