"""Damaged files for every reader: `python -m tests.fuzz --inputs 20000 --seed 1 --out report.json`."""
