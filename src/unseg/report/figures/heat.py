"""The map of defences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from unseg.report.figures.style import (
    INK,
    QUIET,
    bare,
    neutral_colour,
    new_figure,
    retention_colour,
    save,
)
from unseg.report.summary import CLEAN, NO_DEFENCE, Series, unique
from unseg.report.tables import per_cent


def defence_map(entries: Sequence[Series], path: Path) -> bool:
    """Retention under every defence, a column for every condition that met one.

    Clean training is grey: what is lost there is the defence's own cost.

    Returns:
        Whether there was anything to draw.
    """
    from matplotlib.patches import Rectangle

    shown = [e for e in entries if e.standard and e.retention is not None]
    cells = {(_column(e), e.defence): e for e in shown}
    columns = unique(_column(e) for e in shown if e.defence != NO_DEFENCE)
    if not columns:
        return False
    rows = unique([NO_DEFENCE, *(e.defence for e in shown)])
    rows = [row for row in rows if any((column, row) in cells for column in columns)]
    figure, grid = new_figure(1, 0.9 + 0.3 * len(rows), width=1.8 + 1.15 * len(columns))
    axis = figure.add_subplot(grid[0])
    for y, row in enumerate(rows):
        for x, column in enumerate(columns):
            entry = cells.get((column, row))
            if entry is None or entry.retention is None:
                axis.text(x, y, "not run", ha="center", va="center", color=QUIET, fontsize=8)
                continue
            scale = neutral_colour if entry.condition == CLEAN else retention_colour
            colour = scale(entry.retention)
            axis.add_patch(Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, facecolor=colour))
            text = per_cent(entry.retention)
            axis.text(x, y, text, ha="center", va="center", color=INK, fontsize=9.5)
    axis.set_xlim(-0.5, len(columns) - 0.5)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_xticks(range(len(columns)), ["\n".join(column) for column in columns])
    axis.set_yticks(range(len(rows)), rows)
    axis.xaxis.tick_top()
    bare(axis)
    save(figure, path)
    return True


def _column(entry: Series) -> tuple[str, str, str]:
    return entry.task, entry.victim, entry.label
