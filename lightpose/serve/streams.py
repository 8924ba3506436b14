"""A stream: a client sends frames over a WebSocket, and gets poses with ids. The newest frame wins."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from lightpose.errors import LightposeError
from lightpose.serve.answers import problem_response
from lightpose.serve.bodies import Picture
from lightpose.serve.followed import Followed
from lightpose.serve.options import StreamOptions, asked, read_options
from lightpose.serve.problems import ProblemError, busy, problem_of
from lightpose.serve.service import Service
from lightpose.types import Frame

__all__ = ["PROTOCOL", "answer_stream"]

PROTOCOL = "lightpose"
"""The subprotocol that a client with a token names as well: a browser wants one of those it offers to be chosen."""


async def answer_stream(service: Service, websocket: WebSocket) -> None:
    """Answer the frames of one client until it goes, or is silent for too long."""
    try:
        options = read_options(StreamOptions, dict(websocket.query_params))
        session = _Session(service, websocket, options)
        if service.sessions >= service.settings.sessions:
            raise busy(f"{service.sessions} streams are open, as many as this server has; try again later", 10)
    except ProblemError as problem:
        await websocket.send_denial_response(problem_response(problem))
        return
    service.sessions += 1
    try:
        offered = websocket.scope.get("subprotocols", ())
        await websocket.accept(PROTOCOL if PROTOCOL in offered else None)
        await session.run()
    except (WebSocketDisconnect, TimeoutError):
        pass
    finally:
        service.sessions -= 1


class _Session:
    """One client's frames. Its ids and smoothed joints are its own."""

    def __init__(self, service: Service, websocket: WebSocket, options: StreamOptions) -> None:
        self._service, self._websocket = service, websocket
        self._wanted = replace(asked(options), max_people=None)
        self._followed = Followed(options)
        self._begun_s = time.monotonic()
        self._newest: tuple[int, float, bytes] | None = None
        self._came = asyncio.Event()
        self._count = self._dropped = 0

    async def run(self) -> None:
        """Read and answer, side by side, until one of them ends."""
        tasks = {asyncio.ensure_future(self._read()), asyncio.ensure_future(self._answer())}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self) -> None:
        """Keep the newest frame, until the client goes, is silent, or sends what is no frame."""
        while True:
            try:
                async with asyncio.timeout(self._service.settings.idle_s):
                    message = await self._websocket.receive()
            except TimeoutError:
                await self._close(1001, "no frame came for too long; connect again")
                return
            if message["type"] == "websocket.disconnect":
                return
            if (content := message.get("bytes")) is None:
                await self._close(1003, "send each frame as a binary message: the bytes of a JPEG file")
                return
            if self._newest is not None:
                self._dropped += 1
                self._service.metrics.dropped.inc()
            self._newest = (self._count, time.monotonic() - self._begun_s, content)
            self._count += 1
            self._came.set()

    async def _answer(self) -> None:
        """Answer one frame after the other."""
        while True:
            await self._came.wait()
            self._came.clear()
            if self._newest is None:
                continue
            (number, time_s, content), self._newest = self._newest, None
            about = {"frame": number, "time_s": round(time_s, 4), "dropped": self._dropped}
            text = json.dumps({**about, **await self._found(number, time_s, content)}, allow_nan=False)
            async with asyncio.timeout(self._service.settings.write_s):
                await self._websocket.send_text(text)

    async def _found(self, number: int, time_s: float, content: bytes) -> dict[str, Any]:
        """The people of a frame, or what is wrong with it."""
        try:
            found = self._service.found(Picture(content), self._wanted, patient=True)
            async with self._service.in_time(), found as (image, poses):
                return self._followed.update(poses, Frame(image, index=number, time_s=time_s)).to_dict()
        except ProblemError as problem:
            return {"problem": problem.document()}
        except LightposeError as error:
            return {"problem": problem_of(error).document()}

    async def _close(self, code: int, reason: str) -> None:
        with suppress(RuntimeError, WebSocketDisconnect):  # it is closed already
            async with asyncio.timeout(self._service.settings.write_s):
                await self._websocket.close(code, reason)
