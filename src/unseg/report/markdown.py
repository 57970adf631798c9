"""The report as Markdown, for docs/results.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from unseg.evaluate.change import JUDGED
from unseg.report.content import Table, by_task, overview, task_tables
from unseg.report.failures import failures, not_measurable
from unseg.report.sources import MOST, commands, hours, versions
from unseg.report.summary import FAILS, Series, grouped
from unseg.report.tables import SEEN, per_cent

READING = (
    "Figures are on clean test images, mean ± standard deviation over seeds where there are "
    "several. The percentage is the retention: the share of the figure after clean training "
    "without a defence that is left. Lower is better protection. Budgets are 8/2 of 255 steps "
    "(inside and outside the mask) where no other is named. Behind a victim's name is the side "
    "that it trains at, in pixels: the short side of its photographs, or of the square they fit in."
)


def reading(entries: Sequence[Series]) -> str:
    """How the tables are read: of the noise's visibility where some result says it."""
    if not any(entry.visibility for entry in entries):
        return READING
    return f"{READING} Behind `at` is {SEEN}, over up to {JUDGED} evenly spaced training images."


def markdown_report(entries: Sequence[Series], command: str) -> str:
    """All tables, with the commands behind them.

    Args:
        entries: joined results.
        command: that makes this text from the result files.
    """
    return "\n".join(_lines(entries, command)) + "\n"


def markdown_tables(entries: Sequence[Series]) -> str:
    """The tables of every task and nothing else."""
    return "\n".join(
        line for task, group in by_task(entries).items() for line in _task(task, group)
    )


def _lines(entries: Sequence[Series], command: str) -> Iterator[str]:
    runs = [run for entry in entries for run in entry.runs]
    yield from ("# Results", "", f"Written by `{command}`; nothing here is written by hand.", "")
    yield from (reading(entries), "")
    yield f"{len(runs)} runs, {hours(runs):.1f} hours; {', '.join(versions(runs))}."
    yield from ("", "## At a glance", "")
    yield from _table(overview(entries))
    yield from ("## Where protection fails", "")
    yield from _failures(entries)
    for task, group in by_task(entries).items():
        yield from _task(task, group)
        yield from _commands(group)


def _task(task: str, entries: Sequence[Series]) -> Iterator[str]:
    yield from (f"## {task}", "")
    for table in task_tables(entries):
        yield from (f"### {table.title}", "")
        yield from _table(table)


def _failures(entries: Sequence[Series]) -> Iterator[str]:
    yield (
        f"Listed are: ours where more than {per_cent(FAILS)} of the clean figure is left; "
        "baselines that leave less than the best of ours at the same budget, by more than a point; "
        "hand-made waves at the same visibility that ours does not beat by a point; "
        f"defences that leave more than {per_cent(FAILS)}; and mixed sets that beat their clean "
        "rest by more than a point."
    )
    yield ""
    found = failures(entries)
    for where, group in grouped(found, lambda f: f.where).items():
        yield f"- **{where}**"
        yield from (f"  - {failure.what}" for failure in group)
    if not found:
        yield "- Nowhere in these runs."
    missing = not_measurable(entries)
    if missing:
        yield from ("", "Not measurable here:", "")
        yield from (f"- {line}" for line in missing)
    yield ""


def _table(table: Table) -> Iterator[str]:
    yield f"| {table.corner} | " + " | ".join(table.columns) + " |"
    yield "|---" * (len(table.columns) + 1) + "|"
    for name, cells in table.rows:
        yield f"| {name} | " + " | ".join(map(str, cells)) + " |"
    yield ""
    for note in table.notes:
        yield from (note, "")


def _commands(entries: Sequence[Series]) -> Iterator[str]:
    found = commands(entries)
    if not found:
        return
    yield from ("Commands:", "")
    yield from (f"- `{command}` ({count} runs)" for command, count in found[:MOST])
    if len(found) > MOST:
        rest = sum(count for _, count in found[MOST:])
        yield f"- and {len(found) - MOST} others ({rest} runs); every result file holds its own"
    yield ""
