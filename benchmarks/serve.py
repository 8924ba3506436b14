"""`lightpose serve` under load on this computer, beside the same pipeline without a server.

    taskset -c 0 python benchmarks/serve.py                          # throughput and latency at 1, 8 and 64 clients
    python benchmarks/serve.py --overload-s 60 --churn 10000 --slow 1000

Client and server share the cores. Each part begins and ends with the bare pipeline, so that a change of the computer's
pace shows. Every image has a height of its own, by which a swapped answer is told.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tyro

from lightpose import PoseEstimator, read_image
from lightpose.io.images import encode_image

PHOTO = Path(__file__).parent.parent / "examples" / "photos" / "astronaut.jpg"
DISTINCT = 64


@dataclass(frozen=True)
class Options:
    """requests: at each number of clients. overload_s: seconds at twice the capacity; 0 for none. churn: requests, and
    a tenth as many streams, that come and go while memory is looked at. slow: clients that send a byte a second beside
    a normal one. threads, queue: of the server."""

    clients: tuple[int, ...] = (1, 8, 64)
    requests: int = 200
    overload_s: float = 0.0
    churn: int = 0
    slow: int = 0
    threads: int = 1
    queue: int = 64


@dataclass
class Seen:
    """What a load saw.

    took_s: of each answer with status 200. others: how often each other status, or loss, came. busy_s: from begin to
    end. cpu_s: of the server, or of the bare pipeline; it says more than times where other work is done beside.
    """

    took_s: list[float] = field(default_factory=list)
    others: dict[str, int] = field(default_factory=dict)
    busy_s: float = 0.0
    cpu_s: float = 0.0

    def note(self, status: int | str, took_s: float) -> None:
        """Note an answer."""
        if status == 200:
            self.took_s.append(took_s)
        else:
            self.others[str(status)] = self.others.get(str(status), 0) + 1

    def __str__(self) -> str:
        if not self.took_s:
            return f"none answered, {self.others}"
        cuts = statistics.quantiles([1000 * value for value in self.took_s], n=100, method="inclusive")
        rate = len(self.took_s) / self.busy_s
        cpu_ms = 1000 * self.cpu_s / len(self.took_s)
        told = (
            f"{rate:6.2f} a second, p50 {cuts[49]:.1f}, p95 {cuts[94]:.1f}, p99 {cuts[98]:.1f} ms, CPU {cpu_ms:.1f} ms"
        )
        return f"{told}{f', others {self.others}' if self.others else ''}"


class Connection:
    """A connection that is kept open."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, content: bytes, height: int) -> int | str:
        """The status of an answer; `swapped` if it is of another image, `lost` if there was none."""
        if self._reader is not None and self._reader.at_eof():
            self.close()  # it was idle for so long that the server has closed it
        try:
            if self._reader is None or self._writer is None:
                self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
            head = f"POST /v1/poses HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(content)}\r\n\r\n"
            self._writer.write(head.encode() + content)
            answer = await self._reader.readuntil(b"\r\n\r\n")
            length = next(line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            body = await self._reader.readexactly(int(length.split(b":")[1]))
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            return "lost"
        status = int(answer.split(b" ", 2)[1])
        if b"connection: close" in answer.lower():
            self.close()
        return "swapped" if status == 200 and json.loads(body)["height"] != height else status

    def close(self) -> None:
        """Close it."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


Images = Sequence[tuple[bytes, int]]


def numbered_images() -> Images:
    """Files of one person, each of another height."""
    image = read_image(PHOTO)
    return [(encode_image(image[: 400 + number], ".jpg"), 400 + number) for number in range(DISTINCT)]


@contextmanager
def server(options: Options) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server and its port, in a process of its own."""
    command = ["-m", "lightpose", "serve", "--port", "0", "--threads", str(options.threads), "--timeout", "600"]
    process = subprocess.Popen(
        [sys.executable, *command, "--queue", str(options.queue)], stdout=subprocess.PIPE, text=True
    )
    try:
        if process.stdout is None:
            raise SystemExit("the server has no output")
        port = int(process.stdout.readline().rpartition(":")[2])
        yield process, port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(15)


def bare(estimator: PoseEstimator, images: Images, count: int, together: bool) -> Seen:
    """The pipeline from files to poses; together: in full batches, else image by image."""
    seen = Seen()
    files = [images[number % len(images)][0] for number in range(count)]
    begun_s, used_s = time.perf_counter(), time.process_time()
    if together:
        for poses in estimator.predict_many(files):
            json.dumps(poses.to_dict())
        seen.took_s = [(time.perf_counter() - begun_s) / count] * count
    else:
        for file in files:
            start_s = time.perf_counter()
            json.dumps(estimator.predict(file).to_dict())
            seen.note(200, time.perf_counter() - start_s)
    seen.busy_s, seen.cpu_s = time.perf_counter() - begun_s, time.process_time() - used_s
    return seen


async def closed_loop(port: int, images: Images, clients: int, count: int, process: int = 0) -> Seen:
    """So many clients, each of which asks again once it has its answer."""
    seen, numbers = Seen(), iter(range(count))

    async def client() -> None:
        connection = Connection(port)
        for number in numbers:
            content, height = images[number % len(images)]
            start_s = time.perf_counter()
            status = await connection.ask(content, height)
            seen.note(status, time.perf_counter() - start_s)
        connection.close()

    begun_s, used_s = time.perf_counter(), cpu_s(process)
    await asyncio.gather(*(client() for _ in range(clients)))
    seen.busy_s, seen.cpu_s = time.perf_counter() - begun_s, cpu_s(process) - used_s
    return seen


async def open_loop(port: int, images: Images, rate: float, seconds: float, most: int = 512) -> Seen:
    """Requests at a fixed rate, whatever the answers; at most so many connections."""
    seen, free = Seen(), [Connection(port) for _ in range(most)]
    running: set[asyncio.Task[None]] = set()

    async def one(number: int, connection: Connection) -> None:
        content, height = images[number % len(images)]
        start_s = time.perf_counter()
        status = await connection.ask(content, height)
        seen.note(status, time.perf_counter() - start_s)
        free.append(connection)

    begun_s = time.perf_counter()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, begun_s + number / rate - time.perf_counter()))
        if not free:
            seen.note("no connection left", 0)
            continue
        task = asyncio.create_task(one(number, free.pop()))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    seen.busy_s = time.perf_counter() - begun_s
    for connection in free:
        connection.close()
    return seen


async def come_and_go(port: int, images: Images, count: int) -> None:
    """So many requests of 16 clients, each with a connection of its own, and a tenth as many streams."""
    from websockets.asyncio.client import connect

    numbers, streams = iter(range(count)), iter(range(count // 10))

    async def request() -> None:
        for number in numbers:
            connection = Connection(port)
            await connection.ask(*images[number % len(images)])
            connection.close()

    async def stream() -> None:
        for number in streams:
            async with connect(f"ws://127.0.0.1:{port}/v1/stream") as opened:
                await opened.send(images[number % len(images)][0])
                await opened.recv()

    await asyncio.gather(*(request() for _ in range(16)), *(stream() for _ in range(4)))


async def drip(port: int, count: int, done: asyncio.Event) -> None:
    """Clients that send a byte a second, and come again when they are cut."""

    async def one(number: int) -> None:
        while not done.is_set():
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                body = b"POST /v1/poses HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 99999\r\n\r\n"
                writer.write(body if number % 2 else b"POST /v1")
                while not done.is_set():
                    await asyncio.sleep(1)
                    writer.write(b"a")
                    await writer.drain()
                writer.close()
            except OSError:
                await asyncio.sleep(0.1)

    await asyncio.gather(*(one(number) for number in range(count)))


async def beside_slow(port: int, images: Images, count: int, requests: int) -> Seen:
    """A normal client beside slow ones."""
    done = asyncio.Event()
    slow = asyncio.create_task(drip(port, count, done))
    await asyncio.sleep(3)
    seen = await closed_loop(port, images, 1, requests)
    done.set()
    await slow
    return seen


def cpu_s(process: int) -> float:
    """CPU time that another process has had; 0 where /proc does not tell."""
    status = Path(f"/proc/{process}/stat")
    if not process or not status.exists():
        return 0.0
    used = status.read_text().rpartition(")")[2].split()
    return (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(process: int) -> float:
    """Memory of a process, in megabytes."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main(options: Options) -> None:
    """Print it."""
    images, estimator = numbered_images(), PoseEstimator(threads=options.threads)
    bare(estimator, images, 8, together=True)
    with server(options) as (process, port):
        asyncio.run(closed_loop(port, images, 8, 32))
        print("bare, batched:      ", bare(estimator, images, options.requests, together=True))
        print("bare, one by one:   ", bare(estimator, images, options.requests, together=False))
        capacity = 0.0
        for clients in options.clients:
            seen = asyncio.run(closed_loop(port, images, clients, options.requests, process.pid))
            capacity = max(capacity, len(seen.took_s) / seen.busy_s)
            print(f"{clients:4} clients:        ", seen)
        print("bare, one by one:   ", bare(estimator, images, options.requests, together=False))
        print("bare, batched:      ", bare(estimator, images, options.requests, together=True))
        if options.overload_s:
            seen = asyncio.run(open_loop(port, images, 2 * capacity, options.overload_s))
            print(f"twice {capacity:.1f} a second: ", seen)
            print(f"queue x service time: {1000 * options.queue / capacity:.0f} ms")
        if options.slow:
            print("one client:         ", asyncio.run(closed_loop(port, images, 1, options.requests)))
            seen = asyncio.run(beside_slow(port, images, options.slow, options.requests))
            print(f"beside {options.slow} slow ones: ", seen)
        if options.churn:
            small = [(encode_image(np.full((40 + n, 40, 3), n, np.uint8), ".png"), 40 + n) for n in range(DISTINCT)]
            for part in range(4):
                print(f"after {part * options.churn // 4} requests: {resident_mb(process.pid):.0f} MB")
                asyncio.run(come_and_go(port, small, options.churn // 4))
            print(f"after {options.churn} requests: {resident_mb(process.pid):.0f} MB")


if __name__ == "__main__":
    main(tyro.cli(Options))
