"""A clip as lines of JSON, a frame each, as `lightpose predict` writes them. The clip stays in memory."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from lightpose.errors import LightposeError
from lightpose.io.video import Video, read_clip
from lightpose.results import Poses
from lightpose.serve.followed import Followed
from lightpose.serve.options import ClipOptions, asked
from lightpose.serve.problems import ProblemError, busy, problem_of
from lightpose.serve.service import Service
from lightpose.types import Frame

__all__ = ["MEDIA_TYPE", "answer_clip"]

Result = TypeVar("Result")
MEDIA_TYPE = "application/jsonl"
NAME = "clip"

_GROUP = 8
"""Frames of a clip that wait or are in work at a time."""


async def answer_clip(service: Service, content: bytes, options: ClipOptions) -> Response:
    """The lines of a clip. Raises a ProblemError or ImageError if it is no clip, or if there is no room for one."""
    if not content:
        raise ProblemError(400, "the body is empty; send the bytes of a video file")
    if service.clips >= service.settings.clips:
        raise busy(f"{service.clips} clips are in work, as many as this server takes; try again later", 10)
    followed, reading = Followed(options), _Reading(service)
    try:
        async with service.in_time():
            first = await reading.open(content, service.settings.max_pixels)
        if first is None:
            lost = "; ".join(reading.lost) or "convert it to H.264"
            raise ProblemError(422, f"no frame of the clip can be decoded: {lost}"[:300])
    except BaseException:
        await reading.close()
        raise
    return _Lines(_lines(service, reading, first, followed, options), reading)


class _Reading:
    """A clip that is decoded in a thread of its own, one frame ahead of another."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._pool = ThreadPoolExecutor(1, "clip")
        self._video: Video | None = None
        self._frames: Any = None
        service.clips += 1

    @property
    def lost(self) -> list[str]:
        """What could not be decoded."""
        return [] if self._video is None else self._video.lost

    async def open(self, content: bytes, max_pixels: int) -> Frame | None:
        """The first frame."""

        def begin() -> Frame | None:
            self._video = read_clip(content, NAME, max_pixels)
            self._frames = iter(self._video)
            return next(self._frames, None)

        return await self._apart(begin)

    async def next(self) -> Frame | None:
        """The next frame; None at the end."""
        return await self._apart(lambda: next(self._frames, None))

    async def close(self) -> None:
        """Let go of the clip, once the thread is done with the frame that it is at."""
        self._service.clips -= 1
        self._pool.submit(self._shut)
        self._pool.shutdown(wait=False)

    def _shut(self) -> None:
        if self._frames is not None:
            self._frames.close()
        if self._video is not None:
            self._video.close()

    async def _apart(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)


class _Lines(StreamingResponse):
    """Lines as they come. The clip is closed at the end, even if nobody read a line."""

    media_type = MEDIA_TYPE

    def __init__(self, lines: AsyncGenerator[bytes, None], reading: _Reading) -> None:
        super().__init__(lines)
        self._reading = reading

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._reading.close()


async def _lines(
    service: Service, reading: _Reading, first: Frame, followed: Followed, options: ClipOptions
) -> AsyncGenerator[bytes, None]:
    """A line for each frame, in order; a problem in the last one if something went wrong."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + service.settings.clip_s
    wanted = replace(asked(options), max_people=None)  # who is kept is chosen when all have their ids
    waiting: deque[tuple[Frame, asyncio.Future[Poses]]] = deque()
    frame: Frame | None = first

    async def in_time(work: Coroutine[Any, Any, Result] | asyncio.Future[Result]) -> Result:
        return await asyncio.wait_for(work, max(end_s - loop.time(), 0.001))

    try:
        while frame is not None or waiting:
            if waiting and (frame is None or len(waiting) >= _GROUP or waiting[0][1].done()):
                done, task = waiting.popleft()
                yield _line(followed.update(await in_time(task), done))
            elif frame is not None:
                task = asyncio.ensure_future(service.find_in_frame(frame, wanted))
                waiting.append((frame, task))
                frame = await in_time(reading.next())
        if reading.lost:
            yield _told(ProblemError(422, "; ".join(reading.lost)[:300]))
    except TimeoutError:
        yield _told(busy(f"the clip took more than {service.settings.clip_s:g} s; send it in parts"))
    except ProblemError as problem:
        yield _told(problem)
    except LightposeError as error:
        yield _told(problem_of(error))
    finally:
        for _, task in waiting:
            task.cancel()
        await asyncio.gather(*(task for _, task in waiting), return_exceptions=True)


def _line(poses: Poses) -> bytes:
    row = {"index": poses.frame, "time_s": poses.time_s, **poses.to_dict()}
    return json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _told(problem: ProblemError) -> bytes:
    return json.dumps({"problem": problem.document()}).encode() + b"\n"
