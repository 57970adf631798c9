"""Markdown tables made from results alone."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from unseg.evaluate.results import Result
from unseg.report.summary import Series, summarise

SEEN = "how far people see the noise: mean and lowest SSIMULACRA2, where 100 is not at all"
"""What the figures behind ``at`` are."""


def spread(values: Sequence[float]) -> str:
    """Mean and sample standard deviation; one value has no spread.

    Example:
        >>> spread([0.1, 0.2, 0.3]), spread([0.5])
        ('0.200 ± 0.100', '0.500')
    """
    mean = statistics.fmean(values)
    return f"{mean:.3f} ± {statistics.stdev(values):.3f}" if len(values) > 1 else f"{mean:.3f}"


def per_cent(share: float) -> str:
    """A share to be read.

    Example:
        >>> per_cent(0.345)
        '34%'
    """
    return f"{share:.0%}"


def seen(entry: Series) -> str:
    """How far the noise is seen, beside a retention; nothing where no result says it."""
    found = entry.visibility
    return "" if found is None else f" at {found[0]:.0f}/{found[1]:.0f}"


def figure(entry: Series) -> str:
    """The metric over seeds, and in brackets the share of the clean figure that is left."""
    if entry.retention is None:
        return spread(entry.values)
    return f"{spread(entry.values)} ({per_cent(entry.retention)}{seen(entry)})"


def markdown_grid(
    entries: Sequence[Series],
    row: Callable[[Series], str],
    column: Callable[[Series], str],
    corner: str,
) -> str:
    """A table with a figure a cell, ``-`` where nothing ran.

    Args:
        entries: in the order of rows and columns.
        row: name of an entry's row.
        column: name of its column.
        corner: heading of the first column.

    Returns:
        Markdown, ending in a newline.
    """
    cells = {(row(entry), column(entry)): figure(entry) for entry in entries}
    rows, columns = (list(dict.fromkeys(map(name, entries))) for name in (row, column))
    lines = [
        f"| {corner} | " + " | ".join(columns) + " |",
        "|---" * (len(columns) + 1) + "|",
        *(f"| {r} | " + " | ".join(cells.get((r, c), "-") for c in columns) + " |" for r in rows),
    ]
    return "\n".join(lines) + "\n"


def retention_table(results: Sequence[Result], floor: float) -> str:
    """Conditions x defences of one task and victim.

    A cell holds the metric on clean test images, mean ± standard deviation over seeds, and in
    brackets its retention: the mean divided by the mean of clean training without a defence. Behind
    it stands what people see of the noise, where the results say it.

    Args:
        results: of one task, part and victim; several seeds of a cell are joined.
        floor: clean metric below which the victim measures nothing; said under the table.

    Returns:
        Markdown, ending in a newline.
    """
    entries = summarise(results)
    # In the order in which they were asked for.
    asked = {id(result): number for number, result in enumerate(results)}
    entries.sort(key=lambda entry: min(asked[id(run)] for run in entry.runs))
    first = results[0]
    seeds = sorted({result.config["seed"] for result in results})
    at = "" if first.resolution is None else f" at {first.resolution} pixels"
    told = f", and {SEEN}" if any(entry.visibility for entry in entries) else ""
    text = (
        f"Task {first.named('task')}, {first.config['task']['part']} images, victim "
        f"{first.named('victim')}{at}: {first.metric} on clean images, mean ± standard deviation "
        f"over seeds {', '.join(map(str, seeds))}; in brackets the share of the clean figure that "
        f"is left{told}.\n\n"
    )
    text += markdown_grid(entries, lambda e: e.label, lambda e: e.defence, "training images")
    clean = entries[0].clean
    if clean is not None and clean < floor:
        text += f"\nClean training stays below {floor:.2f}: this victim measures nothing.\n"
    return text
