"""What `lightpose data check` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from lightpose.cli.console import SafeConsole
from lightpose.data.check import Finding, Summary

__all__ = ["finding_table", "joint_table", "print_check"]

_COLORS = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def print_check(findings: list[Finding], summary: Summary) -> None:
    """The summary, the joints and the findings as tables on standard output."""
    console = SafeConsole(highlight=False)
    console = console if console.is_terminal else SafeConsole(highlight=False, width=120)
    console.print(
        f"{summary.pictures} images, {summary.pictures_with_labels} of them with labels\n"
        f"{summary.persons} persons, {summary.labelled} labelled, of these {summary.medium} medium and {summary.large} "
        f"large; {summary.crowds} crowds"
    )
    if summary.labelled:
        console.print(joint_table(summary.joints, summary.labelled))
    if findings:
        console.print(finding_table(findings))
    counts = {kind: sum(finding.severity == kind for finding in findings) for kind in ("error", "warning", "note")}
    console.print(", ".join(f"{kind}s: {count}" for kind, count in counts.items()))


def joint_table(joints: Mapping[str, tuple[int, int]], people: int) -> Table:
    """How many of the people have a visible and how many a hidden label of each joint."""
    table = Table("joint", box=SIMPLE, pad_edge=False)
    for title in ("visible", "hidden"):
        table.add_column(title, justify="right")
    table.add_column("of all persons labelled")
    for name, (visible, hidden) in joints.items():
        share = (visible + hidden) / max(people, 1)
        table.add_row(Text(name), str(visible), str(hidden), f"{'█' * round(30 * share)} {100 * share:.0f} %")
    return table


def finding_table(findings: Sequence[Finding]) -> Table:
    """What a check found: how grave, how many, what and which, and what follows from it and helps."""
    table = Table("", box=SIMPLE, pad_edge=False, show_lines=True)
    table.add_column("count", justify="right")
    table.add_column("what, and what to do")
    for finding in findings:
        more = ", …" if finding.count > len(finding.examples) else ""
        which = f"{finding.kind} {', '.join(map(str, finding.examples))}{more}" if finding.examples else finding.kind
        text = Text.assemble(
            (finding.what, "bold"), f" ({which})\n", f"{finding.consequence.rstrip('.')}. {finding.remedy}"
        )
        table.add_row(Text(finding.severity, _COLORS[finding.severity]), str(finding.count), text)
    return table
