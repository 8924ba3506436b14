"""A proxy before an object store that fails, hangs and lies: at random by a seed, or on command."""

import asyncio
import random
import threading
from collections import Counter, defaultdict, deque
from dataclasses import dataclass

ANSWER = b"HTTP/1.1 %d Failure\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
SAID = b"HTTP/1.1 %d Said\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"


@dataclass(frozen=True)
class Rates:
    """Shares of requests: answered by 503, never answered, and of PUTs: carried out and answered by 500."""

    fail: float = 0.0
    hang: float = 0.0
    lie: float = 0.0


class Flaky:
    """The proxy, in a thread of its own. url: where it is.

    Conditional PUTs of one object go on one by one: moto looks whether the object is there and then writes it, so that
    two threads of its can both find nothing.
    """

    def __init__(self, port: int, seed: int = 0) -> None:
        self.rates, self.counts = Rates(), Counter()
        self.commands: deque[str | bytes] = deque()
        self._target, self._random = port, random.Random(seed)
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._started.wait(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reset(self, seed: int = 0, rates: Rates | None = None) -> None:
        """From now on with these rates, and the random numbers of this seed."""
        self.rates, self._random = rates or Rates(), random.Random(seed)
        self.counts.clear()
        self.commands.clear()

    def next(self, *acts: str) -> None:
        """What to do with the requests that come now: fail, hang, lie or pass."""
        self.commands.extend(acts)

    def next_answer(self, status: int, body: bytes) -> None:
        """Answer the request that comes next by this."""
        self.commands.append(SAID % (status, len(body), body))

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        self._locks: defaultdict[bytes, asyncio.Lock] = defaultdict(asyncio.Lock)
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=2**20)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._end.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.split(b"\r\n")
            fields = dict(line.lower().split(b": ", 1) for line in lines[1:] if b": " in line)
            body = await reader.readexactly(int(fields.get(b"content-length", 0)))
            method, path = lines[0].split(b" ")[:2]
            act = self._act(method)
            self.counts[act] += 1
            self.counts[method.decode()] += 1
            if isinstance(act, bytes):
                writer.write(act)
            elif act == "hang":
                await reader.read()
            elif act == "fail":
                writer.write(ANSWER % 503)
            else:
                answer = await self._forwarded(method, path, lines, fields, body)
                writer.write(ANSWER % 500 if act == "lie" and answer[9:10] == b"2" else answer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _act(self, method: bytes) -> str | bytes:
        if self.commands:
            return self.commands.popleft()
        drawn, rates = self._random.random(), self.rates
        if drawn < rates.fail:
            return "fail"
        if drawn < rates.fail + rates.hang:
            return "hang"
        return "lie" if method == b"PUT" and drawn < rates.fail + rates.hang + rates.lie else "pass"

    async def _forwarded(self, method: bytes, path: bytes, lines: list[bytes], fields: dict, body: bytes) -> bytes:
        kept = [line for line in lines if line and not line.lower().startswith((b"connection:", b"expect:"))]
        request = b"\r\n".join([*kept, b"Connection: close", b"", b""]) + body
        if method == b"PUT" and b"if-none-match" in fields:
            async with self._locks[path]:
                return await self._asked(request)
        return await self._asked(request)

    async def _asked(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            writer.write(request)
            await writer.drain()
            return await reader.read()
        finally:
            writer.close()
