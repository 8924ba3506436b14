"""Draw docs/weights_by_part.svg from a table of docs/model_card.md: python tools/weights_figure.py."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lightpose.errors import LightposeError
from lightpose.io.files import write_aside

DOCS = Path(__file__).parents[1] / "docs"
HEAD = "| part | everyday, part | everyday, mean | LSP-Extended, part | LSP-Extended, mean |"
ROW = re.compile(r"\| (\d+) \| (.+) \| (.+) \| (.+) \| (.+) \|")
WIDTH, HEIGHT, LEFT, TOP = 260, 200, 60, 50
"""Of a panel, and of the first one's corner, in pixels."""
LOOKS = {"the part": ("#28a0ff", ""), "mean with what it started from": ("#ff8a1e", "6 4")}
"""Color and dashes of each line."""

Series = list[tuple[int, float]]
"""Numbers of parts, and AP in percent."""


@dataclass(frozen=True)
class Panel:
    """One validation set: its name, the line of the parts and the line of the means."""

    name: str
    lines: tuple[Series, Series]


def panels(card: str) -> list[Panel]:
    """The two validation sets of the table."""
    if HEAD not in card:
        raise LightposeError(f"docs/model_card.md has no table with this head: {HEAD}")
    rows = [match.groups() for match in map(ROW.fullmatch, card.split(HEAD)[1].split("\n\n")[0].splitlines()) if match]
    series = [[(int(row[0]), float(row[n])) for row in rows if row[n] != "–"] for n in range(1, 5)]
    return [Panel("everyday images", (series[0], series[1])), Panel("LSP-Extended", (series[2], series[3]))]


def ticks(values: list[float], step: int) -> range:
    """Multiples of step around the values, both ends outside of them."""
    return range(int(min(values)) // step * step, int(max(values)) // step * step + step + 1, step)


def panel(one: Panel, left: int) -> list[str]:
    """A panel, its left edge so far to the right."""
    numbers = [number for number, _ in one.lines[0]]
    marks = ticks([ap for line in one.lines for _, ap in line], 2)

    def x(number: int) -> float:
        return round(left + WIDTH * (number - numbers[0]) / (numbers[-1] - numbers[0]), 1)

    def y(ap: float) -> float:
        return round(TOP + HEIGHT * (marks[-1] - ap) / (marks[-1] - marks[0]), 1)

    parts = [f'<text x="{left}" y="{TOP - 14}">{one.name}</text>']
    for mark in marks:
        parts.append(f'<line x1="{left}" y1="{y(mark)}" x2="{left + WIDTH}" y2="{y(mark)}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8}" y="{y(mark) + 4}" text-anchor="end">{mark}</text>')
    below = TOP + HEIGHT + 20
    parts += [f'<text x="{x(number)}" y="{below}" text-anchor="middle">{number}</text>' for number in numbers]
    for line, look in zip(one.lines, LOOKS.values(), strict=True):
        parts += polyline([(x(number), y(ap)) for number, ap in line], look)
    return parts


def polyline(points: list[tuple[float, float]], look: tuple[str, str]) -> list[str]:
    """A line with a dot at each point."""
    color, dashes = look
    places = " ".join(f"{x},{y}" for x, y in points)
    line = f'<polyline points="{places}" fill="none" stroke="{color}" stroke-width="2" stroke-dasharray="{dashes}"/>'
    return [line, *(f'<circle cx="{x}" cy="{y}" r="4" fill="{color}"/>' for x, y in points)]


def drawing(card: str) -> str:
    """Both panels, side by side, over a legend."""
    parts = [text for n, one in enumerate(panels(card)) for text in panel(one, LEFT + n * (WIDTH + LEFT))]
    bottom = TOP + HEIGHT + 50
    for n, (name, look) in enumerate(LOOKS.items()):
        start = LEFT + 200 * n
        parts += polyline([(start, bottom), (start + 30, bottom)], look)
        parts.append(f'<text x="{start + 42}" y="{bottom + 4}">{name}</text>')
    font = 'font-family="sans-serif" font-size="13" fill="#777"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * (WIDTH + LEFT) + 20} {bottom + 20}" {font}>'
    title = f'<text x="{LEFT}" y="16">AP after each part of the training, in percent</text>'
    return "\n".join([head, title, *parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    write_aside(DOCS / "weights_by_part.svg", drawing((DOCS / "model_card.md").read_text(encoding="utf-8")).encode())
