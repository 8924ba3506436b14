"""Run many inputs by hand, go on with a run, or show one: see `--help`."""

import argparse
import json
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from tests.fuzz.harness import run
from tests.fuzz.oracle import Outcome, damaged
from tests.fuzz.readers import make_seeds


def main() -> None:
    """Parse the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1000, help="how many in all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("fuzz.json"), help="the report; a part of it is gone on with")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=540, help="stop after these; the same command goes on")
    parser.add_argument("--replay", type=int, metavar="NUMBER", help="run this input alone and print what it comes to")
    parser.add_argument("--keep", type=Path, help="with --replay: write the valid files and the damaged one here")
    options = parser.parse_args()
    if options.replay is not None:
        _replay(options.replay, options.seed, options.keep)
    else:
        _go_on(options.inputs, options.seed, options.out, options.workers, options.seconds)


def _go_on(inputs: int, seed: int, out: Path, workers: int, seconds: float) -> None:
    """Do the inputs that the report has not, and write it."""
    report = json.loads(out.read_text()) if out.exists() else {"seed": seed, "done": [], "codes": {}, "faults": []}
    if report["seed"] != seed:
        raise SystemExit(f"{out} is of seed {report['seed']}; name another --out")
    done, codes, start = set(report["done"]), Counter(report["codes"]), time.monotonic()

    def numbers():
        for number in range(inputs):
            if number not in done and time.monotonic() - start < seconds:
                yield number

    for outcome in run(numbers(), seed, workers):
        done.add(outcome.number)
        codes[str(outcome.code)] += 1
        if outcome.fault:
            report["faults"].append(asdict(outcome))
            print(_line(outcome), flush=True)
    report |= {"done": sorted(done), "codes": dict(codes)}
    out.write_text(json.dumps(report))
    print(f"{len(done)} of {inputs} inputs, exit codes {dict(codes)}, {len(report['faults'])} faults, in {out}")


def _line(one: Outcome) -> str:
    return f"{one.number}: {one.fault} | {one.reader} | {one.damage} | {one.detail[:150]!r}"


def _replay(number: int, seed: int, keep: Path | None) -> None:
    if keep is not None:
        make_seeds(keep)
        reader, _, content = damaged(number, seed, keep)
        (keep / reader.file).write_bytes(content)
        print(f"cd {keep}; lightpose {reader.command}")
    with tempfile.TemporaryDirectory():
        for outcome in run([number], seed, 1):
            print(json.dumps(asdict(outcome), indent=1))


if __name__ == "__main__":
    main()
