"""One input: a damaged copy of a valid file is given to its reader, and what happens is held against what may."""

import fnmatch
import hashlib
import os
import re
import shutil
import signal
import sys
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lightpose.errors import LightposeError
from tests.fuzz.readers import READERS, TURNS, Reader

SECONDS = 10
MEMORY_MB = 2048
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LOCKS = ("*.lock",)


class Hang(BaseException):
    """An input takes too long."""


@dataclass(frozen=True)
class Outcome:
    """What an input came to. fault: empty if all is well. code: the exit code."""

    number: int
    reader: str
    damage: str
    code: int | None
    fault: str = ""
    detail: str = ""


def damaged(number: int, seed: int, seeds: Path) -> tuple[Reader, str, bytes]:
    """The reader of an input, the name of the damage, and the damaged content: the same each time."""
    rng = np.random.default_rng([seed, number])
    reader = READERS[TURNS[number % len(TURNS)]]
    damage = reader.damages[rng.integers(len(reader.damages))]
    content = (seeds / reader.file).read_bytes()
    for _ in range(20):
        try:
            return reader, damage.__name__, damage(content, rng)
        except Exception:  # a damage that cannot be written down, such as a text in a field of numbers
            continue
    return reader, "none", content


def attempt(number: int, seed: int, seeds: Path) -> Outcome:
    """Give an input to its reader in a fresh folder. Standard output and error must be files of this process."""
    reader, damage, content = damaged(number, seed, seeds)
    name = reader.command if isinstance(reader.command, str) else reader.command.__name__.lstrip("_")
    with tempfile.TemporaryDirectory(prefix="fuzz_") as folder:
        place = Path(folder).resolve() / "in"
        shutil.copytree(seeds, place)
        (place / reader.file).write_bytes(content)
        before = _listing(place)
        os.chdir(place)
        os.environ["TMPDIR"] = tempfile.tempdir = str(place)
        try:
            code, error = _run(reader, content)
        finally:
            os.environ.pop("TMPDIR")
            tempfile.tempdir = None
            os.chdir("/")
        fault, detail = _judge(reader, code, error, before, place)
    return Outcome(number, f"{reader.file}: {name}", damage, code, fault, detail)


def _run(reader: Reader, content: bytes) -> tuple[int | None, BaseException | None]:
    """The exit code, and what went wrong unforeseen."""
    from lightpose.cli import last_resort, main

    unforeseen: list[BaseException] = []
    say = last_resort._say

    def heard(sentence: str, error: BaseException | None = None, code: int = 2) -> None:
        if error is not None and not (isinstance(error, OSError) and error.filename):
            unforeseen.append(error)
        say(sentence, error, code)

    _empty(1)
    _empty(2)
    last_resort._say = heard
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(SECONDS)
    stdin = _stdin(content) if reader.stdin else None
    code: int | None = None
    try:
        if isinstance(reader.command, str):
            main(reader.command.split())
        else:
            reader.command(reader.file)
            code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else None
    except LightposeError as error:
        sys.stderr.write(f"lightpose: {error}\n")
        code = 2
    except BaseException as error:
        unforeseen.append(error)
    finally:
        signal.alarm(0)
        last_resort._say = say
        if stdin is not None:
            os.dup2(stdin, 0)
            os.close(stdin)
            sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout.flush()
    sys.stderr.flush()
    return code, unforeseen[0] if unforeseen else None


def _judge(
    reader: Reader, code: int | None, error: BaseException | None, before: dict[str, str], place: Path
) -> tuple[str, str]:
    """The fault, empty for none, and more about it."""
    if isinstance(error, Hang):
        return "hang", _where(error)
    if error is not None:
        return f"{type(error).__name__} at {_where(error)}", str(error)[:300]
    said, told = _content(2), _content(1)
    if code not in (0, 1, 2, 130):
        return f"exit code {code}", said[-300:]
    if "Traceback" in said + told:
        return "traceback", said[-1000:]
    command = isinstance(reader.command, str)
    if code == 2 and "lightpose: " not in said:
        return "no sentence", said[-300:]
    if command and _CONTROLS.search(said + told):
        return "control characters", repr(said[-300:])
    if command and code == 2 and (len(said) > 5000 or said.count("\n") > 12):
        return "no short sentence", said[:300]
    after, allowed = _listing(place), (*reader.writes, *_LOCKS)
    fixed = [name for name in (*before, *after) if not any(fnmatch.fnmatch(name, each) for each in allowed)]
    changed = [name for name in fixed if name in before and after.get(name) != before[name]]
    strays = [name for name in fixed if name not in before]
    if changed or strays:
        return "an input changed" if changed else "a stray file", ", ".join([*changed, *strays])[:300]
    peak = _peak_mb()
    return ("memory", f"{peak:.0f} MB") if peak > MEMORY_MB else ("", "")


def _where(error: BaseException) -> str:
    """The last place in lightpose that an error came through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [each for each in frames if "/lightpose/" in each.filename and "/cli/" not in each.filename] or frames
    one = ours[-1] if ours else None
    return "nowhere" if one is None else f"{'/'.join(Path(one.filename).parts[-2:])}:{one.lineno} {one.name}"


def _too_long(*_: object) -> None:
    raise Hang


def _listing(folder: Path) -> dict[str, str]:
    """A digest of every file below a folder, by its name."""
    files = [path for path in folder.rglob("*") if not path.is_dir()]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _empty(number: int) -> None:
    os.lseek(number, 0, os.SEEK_SET)
    os.ftruncate(number, 0)


def _content(number: int) -> str:
    size = os.fstat(number).st_size
    return os.pread(number, size, 0).decode(errors="replace")


def _stdin(content: bytes) -> int:
    """Put bytes on standard input; returns what was there."""
    kept = os.dup(0)
    with tempfile.TemporaryFile(dir="/tmp") as file:
        file.write(content)
        file.seek(0)
        os.dup2(file.fileno(), 0)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    return kept


def _peak_mb() -> float:
    """The most memory since the last call."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    [line] = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
    Path("/proc/self/clear_refs").write_text("5")
    return int(line.split()[1]) / 1024
