"""The one table of the README: a row a task, from result files alone."""

from __future__ import annotations

from collections.abc import Sequence

from unseg.errors import UnsegError
from unseg.report.summary import CLEAN, NO_DEFENCE, STRIPES, Series, grouped
from unseg.report.tables import per_cent, seen

COMMAND = "unseg report docs/results/cpu --readme README.md"
START = f"<!-- table: {COMMAND} -->"
END = "<!-- /table -->"

OURS = ("unseg", "unseg-tint", "unseg-class", "unseg-instance")
"""Ours from the owner's masks: the first of them that ran is shown."""
HEAD = ("task (figure)", "victim", "clean", "random", "best hand-made", "ours", "ours keeps")
WAVES = "hand-made, as hard to see"
"""Heading of the column of waves, which stands before ours."""


def readme_table(entries: Sequence[Series]) -> str:
    """One row a task: the victim that met the most conditions, clean and under three noises.

    Shown are runs on the test part, without a defence, at the standard budget, of victims that
    reach their task's floor. Best is the hand-made noise that leaves least, of the whole bound;
    where waves as hard to see as ours ran, they have a column of their own, and behind every noise
    stands how far it is seen.

    Args:
        entries: joined results.

    Returns:
        Markdown, ending in a newline.
    """
    shown = [e for e in entries if _plain(e)]
    head = [
        *HEAD[:-2],
        *([WAVES] if any(e.condition == STRIPES for e in shown) else []),
        *HEAD[-2:],
    ]
    lines = [_row(head), "|---" * len(head) + "|"]
    for group in grouped(shown, lambda e: e.task).values():
        victims = grouped(group, lambda e: e.victim).values()
        ordered = sorted(victims, key=len, reverse=True)
        rows = [row for row in (_cells(one, WAVES in head) for one in ordered) if row]
        lines += map(_row, rows[:1])
    return "\n".join(lines) + "\n"


def inserted(text: str, table: str) -> str:
    """A text with the table between its markers.

    Raises:
        UnsegError: when the markers are not there, each once and in this order.

    Example:
        >>> inserted(f"a {START} old {END} b", "new ") == f"a {START}\\nnew {END} b"
        True
    """
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end) or text.count(START) != 1:
        raise UnsegError(
            f"no place for the table: expected a line {START} and, below it, a line {END}"
        )
    return f"{before}{START}\n{table}{END}{after}"


def _plain(entry: Series) -> bool:
    return (
        entry.part == "test"
        and entry.defence == NO_DEFENCE
        and entry.standard
        and entry.measurable
        and entry.label == entry.condition
    )


def _cells(group: Sequence[Series], waves: bool) -> list[str] | None:
    """The cells of one task and victim; None where clean training or ours did not run."""
    by_name = {entry.condition: entry for entry in group}
    ours = next((by_name[name] for name in OURS if name in by_name), None)
    clean = by_name.get(CLEAN)
    if ours is None or clean is None or ours.retention is None:
        return None
    made = [e for e in group if not (e.ours or e.frontier or e.condition in (CLEAN, "random"))]
    best = min(made, key=lambda e: e.mean, default=None)
    return [
        f"{clean.task} ({clean.metric})", clean.attacker, f"{clean.mean:.3f}",
        _figure(by_name.get("random")), _figure(best, named=True),
        *([_figure(by_name.get(STRIPES))] if waves else []),
        _figure(ours, named=True), per_cent(ours.retention),
    ]  # fmt: skip


def _figure(entry: Series | None, *, named: bool = False) -> str:
    if entry is None:
        return "-"
    return f"{entry.mean:.3f}" + (f" ({entry.condition})" if named else "") + seen(entry)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
