"""What all requests share: the estimator behind its batcher, the room for images, and the figures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from starlette.requests import Request

from lightpose.inference.estimator import PoseEstimator
from lightpose.inference.select import at_most
from lightpose.io.headers import image_header
from lightpose.io.images import decode_image, encode_image, max_bytes
from lightpose.results import Boxes, Poses
from lightpose.serve.batcher import Batcher, Job
from lightpose.serve.bodies import Picture
from lightpose.serve.metrics import Metrics
from lightpose.serve.options import Asked
from lightpose.serve.problems import ProblemError, busy
from lightpose.serve.room import Room
from lightpose.serve.settings import Settings
from lightpose.types import Frame, ImageArray

__all__ = ["Found", "GoneError", "Service", "unless_gone"]

Result = TypeVar("Result")

_DECODERS = 2


@dataclass(frozen=True)
class Found:
    """The people of an image; its drawing as a PNG file, if that was asked for."""

    poses: Poses
    drawing: bytes | None = None


class GoneError(Exception):
    """The client hung up; nobody reads the answer."""


class Service:
    """An estimator that many clients share. draining: whether the server is about to end."""

    def __init__(self, estimator: PoseEstimator, settings: Settings, metrics: Metrics | None = None) -> None:
        self.estimator, self.settings = estimator, settings
        self.metrics, self.room = metrics or Metrics(), Room(settings.queue)
        self.batcher = Batcher(estimator, settings.max_wait_ms / 1000, self.metrics.batches.observe)
        self.draining = False
        self.sessions = self.clips = 0
        self._pool = ThreadPoolExecutor(_DECODERS, "decode")
        for name, told, value in (
            ("queue_images", "Images that are decoded, wait or are in work.", lambda: self.room.count),
            ("queue_bytes", "Bytes of them when decoded.", lambda: self.room.held),
            ("streams", "Streams that are open.", lambda: self.sessions),
            ("clips", "Clips that are in work.", lambda: self.clips),
        ):
            self.metrics.watch(name, told, value)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work, and finish what has been taken at the end."""
        self.batcher.start()
        try:
            yield
        finally:
            await asyncio.get_running_loop().run_in_executor(None, self.batcher.stop, 2.0)
            self._pool.shutdown(wait=False, cancel_futures=True)

    def check_ready(self) -> None:
        """Raise a ProblemError unless requests should be sent here."""
        if self.draining:
            raise busy("this server is about to end; ask another", 5)
        if not self.batcher.ready.is_set():
            raise busy("this server is starting; ask again in a second")

    async def find(self, picture: Picture, wanted: Asked, patient: bool = False) -> Found:
        """The people of an image file.

        patient: wait for room. Raises a ProblemError if it is no image, too large, or if there is no room;
        ImageError or BoxesError if it cannot be used.
        """
        async with self.found(picture, wanted, patient) as (image, poses):
            drawing = await self.apart(lambda: encode_image(poses.plot(image), ".png")) if wanted.draw else None
        return Found(poses, drawing)

    @asynccontextmanager
    async def found(
        self, picture: Picture, wanted: Asked, patient: bool = False
    ) -> AsyncIterator[tuple[ImageArray, Poses]]:
        """The same, with the pixels of the image, which has its room until the end."""
        if not patient:
            self.room.check()
        size = 3 * await self.apart(lambda: self._checked(picture.content))
        async with self.room.place(size, patient):
            image = await self.apart(
                lambda: decode_image(picture.content, "the image", max_pixels=self.settings.max_pixels)
            )
            yield image, await self._poses(Frame(image, picture.name), picture.boxes, wanted)

    async def find_in_frame(self, frame: Frame, wanted: Asked) -> Poses:
        """The people of a frame that is decoded; waits for room."""
        async with self.room.place(frame.image.nbytes, patient=True):
            poses = await self._poses(frame, None, wanted)
        return replace(poses, time_s=frame.time_s)

    async def apart(self, work: Callable[[], Result]) -> Result:
        """What some work gives, done in a thread beside the loop."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    @asynccontextmanager
    async def in_time(self, times: int = 1) -> AsyncIterator[None]:
        """Raise a ProblemError if what is done inside takes longer than so many requests may."""
        limit_s = self.settings.timeout_s * times
        try:
            async with asyncio.timeout(limit_s):
                yield
        except TimeoutError as error:
            raise busy(f"there was no answer within {limit_s:g} s; try again later, or send less at a time") from error

    async def _poses(self, frame: Frame, boxes: Boxes | None, wanted: Asked) -> Poses:
        job = Job(frame, boxes, wanted.flip or self.estimator.options.flip, wanted.threshold)
        try:
            poses = await asyncio.wrap_future(self.batcher.submit(job))
        except asyncio.CancelledError:
            if job.answer.cancelled() and not _is_cancelled():
                raise busy("this server is about to end; ask another") from None
            raise
        kept = poses if wanted.max_people is None else at_most(poses, wanted.max_people)
        self.metrics.count_image(len(kept))
        return kept

    def _checked(self, content: bytes) -> int:
        """The pixels of an image file that may be decoded. Raises a ProblemError for any other."""
        limit = self.settings.max_pixels
        header = image_header(content)
        if not content:
            raise ProblemError(422, "the image is empty; send the bytes of an image file")
        if header is None:
            raise ProblemError(415, "this is no image that can be read; send a JPEG, PNG, WebP, TIFF, BMP or GIF file")
        if not header.decoded:
            raise ProblemError(415, f"{header.kind} files cannot be read; save the image as JPEG or PNG")
        if header.pixels > limit or len(content) > max_bytes(limit):
            size = f"{header.width:,} x {header.height:,} pixels in {len(content):,} bytes"
            raise ProblemError(413, f"the image has {size}; make it smaller, to {limit:,} pixels at most")
        return header.pixels


def _is_cancelled() -> bool:
    """Whether the task that runs is itself to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def unless_gone(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """What some work gives; it is cancelled, and GoneError raised, as soon as the client hangs up."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise GoneError
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
