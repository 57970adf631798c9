"""Markdown tables made from results alone."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from unseg.evaluate.results import Result


def spread(values: Sequence[float]) -> str:
    """Mean and sample standard deviation; one value has no spread.

    Example:
        >>> spread([0.1, 0.2, 0.3]), spread([0.5])
        ('0.200 ± 0.100', '0.500')
    """
    mean = statistics.fmean(values)
    return f"{mean:.3f} ± {statistics.stdev(values):.3f}" if len(values) > 1 else f"{mean:.3f}"


def retention_table(results: Sequence[Result], floor: float) -> str:
    """Conditions x defences of one task and victim.

    A cell holds the metric on clean test images, mean ± standard deviation over seeds, and in
    brackets its retention: the mean divided by the mean of clean training without a defence.

    Args:
        results: of one task, part and victim; several seeds of a cell are joined.
        floor: clean metric below which the victim measures nothing; said under the table.

    Returns:
        Markdown, ending in a newline.
    """
    grid: dict[tuple[str, str], list[float]] = {}
    for result in results:
        cell = (result.named("condition"), result.config["defence"]["label"])
        grid.setdefault(cell, []).append(result.value)
    rows = list(dict.fromkeys(condition for condition, _ in grid))
    columns = list(dict.fromkeys(label for _, label in grid))
    clean = grid.get(("clean", "none"))
    reference = statistics.fmean(clean) if clean else None

    def text(cell: tuple[str, str]) -> str:
        if cell not in grid:
            return "-"
        share = statistics.fmean(grid[cell]) / reference if reference else None
        return spread(grid[cell]) + (f" ({share:.0%})" if share is not None else "")

    first = results[0]
    seeds = sorted({result.config["seed"] for result in results})
    lines = [
        f"Task {first.named('task')}, {first.config['task']['part']} images, victim "
        f"{first.named('victim')}: {first.metric} on clean images, mean ± standard deviation over "
        f"seeds {', '.join(map(str, seeds))}; in brackets the share of the clean figure that is "
        "left.",
        "",
        "| training images | " + " | ".join(columns) + " |",
        "|---" * (len(columns) + 1) + "|",
        *(f"| {row} | " + " | ".join(text((row, c)) for c in columns) + " |" for row in rows),
    ]
    if reference is not None and reference < floor:
        lines += ["", f"Clean training stays below {floor:.2f}: this victim measures nothing."]
    return "\n".join(lines) + "\n"
