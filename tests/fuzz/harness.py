"""Many inputs, by several processes: one that hangs, dies or takes too much memory is put down and counted."""

import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path

from tests.fuzz.oracle import MEMORY_MB, SECONDS, Outcome, attempt
from tests.fuzz.readers import READERS, TURNS, make_seeds

PATIENCE_S = SECONDS + 5
"""After this a worker that does not even hear its alarm is killed."""


def _work(pipe: Connection, seed: int, seeds: Path) -> None:
    """Do the inputs whose numbers come, with standard output and error in files of this process."""
    import torch  # takes seconds, which are no input's

    torch.set_num_threads(1)
    for number in (1, 2):
        with tempfile.TemporaryFile() as file:
            os.dup2(file.fileno(), number)
    while True:
        with suppress(EOFError):
            pipe.send(attempt(pipe.recv(), seed, seeds))
            continue
        return


class _Worker:
    """A process, and the input it is at."""

    def __init__(self, seed: int, seeds: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, seed, seeds), daemon=True)
        self.process.start()
        theirs.close()
        self.number, self.since, self.fresh = -1, 0.0, True

    def give(self, number: int) -> None:
        self.number, self.since = number, time.monotonic()
        self.pipe.send(number)

    def fault(self) -> str:
        """Why it must be put down now."""
        if time.monotonic() - self.since > PATIENCE_S + 60 * self.fresh:  # the first has all imports before it
            return "hang"
        with suppress(OSError, ValueError):
            pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
            if pages * os.sysconf("SC_PAGE_SIZE") > 1.25 * MEMORY_MB * 2**20:
                return "memory"
        return ""


def run(numbers: Iterable[int], seed: int, workers: int = 2) -> Iterator[Outcome]:
    """The outcomes of inputs, in no order."""
    with tempfile.TemporaryDirectory(prefix="fuzz_seeds_") as folder:
        seeds = Path(folder) / "seeds"
        make_seeds(seeds)
        left, busy = iter(numbers), []
        for number in left:
            busy.append(_started(number, seed, seeds))
            if len(busy) == workers:
                break
        try:
            while busy:
                yield from _step(busy, left, seed, seeds)
        finally:
            for worker in busy:
                worker.process.kill()


def _started(number: int, seed: int, seeds: Path) -> _Worker:
    worker = _Worker(seed, seeds)
    worker.give(number)
    return worker


def _step(busy: list[_Worker], left: Iterator[int], seed: int, seeds: Path) -> Iterator[Outcome]:
    """What has come in; workers that are idle get the next input."""
    ready = wait([worker.pipe for worker in busy], timeout=0.1)
    for worker in [*busy]:
        fault, outcome = "", None
        if worker.pipe in ready:
            try:
                outcome = worker.pipe.recv()
            except (EOFError, ConnectionError):
                worker.process.join()
                fault = f"the process died ({worker.process.exitcode})"
        else:
            fault = worker.fault()
        if outcome is None and not fault:
            continue
        following = next(left, None)
        if outcome is None or following is None:
            worker.process.kill()
            busy.remove(worker)
            if following is not None:
                busy.append(_started(following, seed, seeds))
        else:
            worker.fresh = False
            worker.give(following)
        yield outcome or _lost(worker.number, fault)


def _lost(number: int, fault: str) -> Outcome:
    reader = READERS[TURNS[number % len(TURNS)]]
    return Outcome(number, f"{reader.file}: {reader.command}", "?", None, fault)
