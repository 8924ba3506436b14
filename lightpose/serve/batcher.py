"""One batcher for all clients: their images go through detector and network together.

Each answer is, to the byte, the one that its image would get alone.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

import numpy as np

from lightpose.errors import ConfigError, LightposeError
from lightpose.inference.estimator import PoseEstimator
from lightpose.inference.stream import stream, stream_whole
from lightpose.results import Boxes, Poses
from lightpose.runtime import Runtime
from lightpose.runtime.one_stage import OneStageRuntime
from lightpose.types import Frame

__all__ = ["Batcher", "Job", "gives_same_bits"]


@dataclass(frozen=True, eq=False)
class Job:
    """An image on its way to poses. boxes: its people; the detector finds them if not given. flip: as for an estimator.
    min_person_score: the estimator's own if not given. answer: cancel it, and the image is passed over."""

    frame: Frame
    boxes: Boxes | None = None
    flip: bool = False
    min_person_score: float | None = None
    answer: Future[Poses] = field(default_factory=Future)


class Batcher:
    """A thread that works on jobs, some at a time.

    estimator: used by this thread alone. max_wait_s: how long a job waits for others, at most. It waits only while the
    last batch had several jobs, and only until as many are there again, so that a lone client never waits. told: called
    with the number of jobs of each batch. A network that finds boxes and joints at once fails jobs that ask for boxes
    or the flip test, which it does not have.
    """

    def __init__(
        self, estimator: PoseEstimator, max_wait_s: float = 0.005, told: Callable[[int], None] = lambda _: None
    ) -> None:
        self._estimator, self._max_wait_s, self._told = estimator, max_wait_s, told
        self._most = estimator.options.batch
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._expected = 1
        self.ready = threading.Event()
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="batcher", daemon=True)

    @property
    def waiting(self) -> int:
        """Jobs that no batch has taken yet."""
        return len(self._jobs)

    def start(self) -> None:
        """Start; `ready` is set after a first inference, or `failure` if that fails."""
        self._thread.start()

    def submit(self, job: Job) -> Future[Poses]:
        """Take a job; its answer comes in its future. After `stop` it is cancelled at once."""
        with self._changed:
            if self._closed:
                job.answer.cancel()
            else:
                self._jobs.append(job)
                self._changed.notify()
        return job.answer

    def stop(self, timeout_s: float | None = None) -> None:
        """Take no more jobs, and finish those that are there."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            self._warm_up()
        except Exception as error:  # the thread that serves must hear of it, whatever it is
            self.failure = error
            with self._changed:
                self._closed = True
            for job in self._jobs:
                job.answer.cancel()
            return
        self.ready.set()
        while group := self._take():
            self._told(len(group))
            for flip in {job.flip for job in group}:
                self._answer([job for job in group if job.flip == flip])

    def _warm_up(self) -> None:
        """A first inference of both networks, and a look whether batches change what comes out of them."""
        self._estimator.find_people(np.full((64, 64, 3), 114, np.uint8))
        self._estimator.about  # noqa: B018 - reads the weights file once
        if not gives_same_bits(self._estimator.runtime, self._most):
            self._most = 1

    def _take(self) -> list[Job]:
        """The next jobs that nobody has cancelled; none after `stop`."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._closed)
                self._changed.wait_for(self._is_enough, self._max_wait_s)
                if not self._jobs:
                    return []
                taken = [self._jobs.popleft() for _ in range(min(len(self._jobs), self._most))]
            group = [job for job in taken if job.answer.set_running_or_notify_cancel()]
            self._expected = max(1, len(group))
            if group:
                return group

    def _is_enough(self) -> bool:
        return self._closed or len(self._jobs) >= min(self._expected, self._most)

    def _answer(self, jobs: Sequence[Job]) -> None:
        """Find the poses of jobs that agree on the flip test, and give them out."""
        try:
            self._together(jobs)
        except Exception as error:  # a job must be answered, whatever happened
            left = [job for job in jobs if not job.answer.done()]
            if len(jobs) == 1:
                for job in left:
                    job.answer.set_exception(error)
                return
            for job in left:
                self._answer([job])

    def _together(self, jobs: Sequence[Job]) -> None:
        estimator = self._estimator
        if isinstance(estimator.runtime, OneStageRuntime):
            self._check_whole(jobs)

        def failed(frame: Frame, error: LightposeError) -> None:
            jobs[frame.index].answer.set_exception(error)

        frames = (replace(job.frame, index=number) for number, job in enumerate(jobs) if not job.answer.done())
        for frame, poses in self._found(frames, jobs, failed):
            job = jobs[frame.index]
            chosen = poses if job.boxes is not None else estimator.choose(poses, job.min_person_score)
            job.answer.set_result(replace(chosen, frame=job.frame.index, about=estimator.about))

    def _found(
        self, frames: Iterable[Frame], jobs: Sequence[Job], failed: Callable[[Frame, LightposeError], None]
    ) -> Iterator[tuple[Frame, Poses]]:
        """The people of each frame, before those who count are chosen."""
        estimator = self._estimator
        if isinstance(estimator.runtime, OneStageRuntime):
            return stream_whole(frames, estimator.find_whole, failed, estimator.runtime.lanes)

        def find(group: Sequence[Frame]) -> list[Boxes]:
            bare = [frame for frame in group if jobs[frame.index].boxes is None]
            found = iter(estimator.find_all(bare) if bare else ())
            given = (jobs[frame.index].boxes for frame in group)
            return [next(found) if boxes is None else boxes for boxes in given]

        options = replace(estimator.options, flip=jobs[0].flip)
        return stream(frames, find, estimator.runtime, options, failed, estimator.together)

    def _check_whole(self, jobs: Sequence[Job]) -> None:
        """Fail jobs that ask for what a network that takes whole images does not have."""
        for job in jobs:
            for what, is_asked in (("boxes", job.boxes is not None), ("flip", job.flip)):
                try:
                    if is_asked and not job.answer.done():
                        self._estimator.of_crops(what)
                except ConfigError as error:
                    job.answer.set_exception(error)


def gives_same_bits(network: Runtime | OneStageRuntime, batch: int) -> bool:
    """Whether a network gives the same bits for a crop, or image, alone and in batches of 2, 3 and `batch`.

    ONNX Runtime does for the bundled networks. Other engines may choose other algorithms by the batch.
    """
    sizes = {min(2, batch), min(3, batch), batch}
    images = np.random.default_rng(0).integers(0, 256, (batch, *network.spec.input_hw, 3), dtype=np.uint8)
    if isinstance(network, OneStageRuntime):
        each = [_all_of(network.find(image, 0.0)) for image in images]
        return all(
            each[:size] == [_all_of(poses) for poses in network.find_all(list(images[:size]), 0.0)] for size in sizes
        )
    alone = np.concatenate([network.heatmaps(images[number : number + 1]) for number in range(batch)])
    return all(np.array_equal(network.heatmaps(images[:size]), alone[:size]) for size in sizes)


def _all_of(poses: Poses) -> tuple[bytes, ...]:
    return poses.keypoints.tobytes(), poses.scores.tobytes(), poses.boxes.xywh.tobytes()
