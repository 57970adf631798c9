"""Bars: what is left of the clean figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unseg.noise import Budget
from unseg.report.figures.curves import ENOUGH
from unseg.report.figures.style import (
    INK,
    OURS_COLOUR,
    QUIET,
    WIDTH,
    bare,
    colour_of,
    legend,
    new_figure,
    save,
)
from unseg.report.summary import CLEAN, NO_DEFENCE, OURS, STRIPES, Series, grouped, unique
from unseg.report.tables import per_cent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

USUAL = ("random", "pattern", STRIPES, OURS)
"""What every victim is trained on beside the clean images."""

ACROSS = 8
"""Victims in a row of the figure."""


def retention_bars(entries: Sequence[Series], path: Path) -> bool:
    """Every task and victim under the usual conditions; error bars are the spread over seeds.

    Victims whose clean training stays below the floor are left out.

    Returns:
        Whether there was anything to draw.
    """
    shown = [e for e in _undefended(entries) if e.measurable and e.label in USUAL]
    if not shown:
        return False
    groups = list(grouped(shown, lambda e: e.task).values())
    counts = [len(unique(e.victim for e in group)) for group in groups]
    rows = _rows(counts)
    room = max(sum(counts[index] + 0.3 for index in row) for row in rows)
    figure, grid = new_figure(len(rows), 2.6, max(5.0, WIDTH * room / (ACROSS + 0.6)))
    for row, line in zip(rows, grid, strict=True):
        # A filler keeps bars as wide as those of the other rows.
        widths = [counts[index] + 0.3 for index in row]
        filler = room - sum(widths) if room - sum(widths) > 0.1 else 0.0
        cells = line.subgridspec(
            1, len(row) + bool(filler), width_ratios=widths + [filler] * bool(filler)
        )
        for column, index in enumerate(row):
            axis = figure.add_subplot(cells[column])
            _bars(axis, groups[index], labelled=column == 0)
    legend(figure, unique(e.label for e in shown))
    save(figure, path)
    return True


def condition_bars(entries: Sequence[Series], path: Path) -> bool:
    """All conditions of the victim of each task that has the most of them.

    Returns:
        Whether any victim has more than the usual ones.
    """
    chosen: list[list[Series]] = []
    candidates = [e for e in _undefended(entries) if e.condition != CLEAN]
    for group in grouped(candidates, lambda e: e.task).values():
        largest = max(map(_without_sweep, grouped(group, lambda e: e.victim).values()), key=len)
        if len(largest) > len({e.label for e in largest} & {*USUAL}):
            chosen.append(largest)
    if not chosen:
        return False
    columns = min(3, len(chosen))
    rows = [chosen[i : i + columns] for i in range(0, len(chosen), columns)]
    figure, grid = new_figure(len(rows), 0.9 + 0.24 * max(map(len, chosen)))
    for row, line in zip(rows, grid, strict=True):
        cells = line.subgridspec(1, columns)
        for column in range(columns):
            axis = figure.add_subplot(cells[column])
            if column < len(row):
                _sorted_bars(axis, row[column])
            else:
                axis.set_axis_off()
    save(figure, path)
    return True


def _undefended(entries: Sequence[Series]) -> list[Series]:
    return [
        e for e in entries if e.defence == NO_DEFENCE and e.standard and e.retention is not None
    ]


def _without_sweep(entries: Sequence[Series]) -> list[Series]:
    """Without other budgets than the standard one, where a whole curve of them has its figure."""
    if len({e.budget.foreground for e in entries}) < ENOUGH:
        return list(entries)
    return [e for e in entries if e.budget.foreground == Budget().foreground]


def _bars(axis: Axes, entries: Sequence[Series], labelled: bool) -> None:
    victims = unique(e.victim for e in entries)
    labels = unique(e.label for e in entries)
    width = 0.8 / len(labels)
    for entry in entries:
        assert entry.retention is not None
        x = victims.index(entry.victim) + (labels.index(entry.label) + 0.5) * width - 0.4
        axis.bar(
            x, entry.retention, width * 0.92, color=colour_of(entry.label, labels),
            yerr=entry.retention_deviation, ecolor=INK, capsize=2, error_kw={"linewidth": 0.9},
        )  # fmt: skip
    axis.axhline(1, color=QUIET, linewidth=0.8, linestyle=(0, (4, 3)))
    axis.set_xlim(-0.55, len(victims) - 0.45)
    axis.set_ylim(0, 1.2)
    axis.set_yticks([0, 0.5, 1], ["0", "50%", "100%"] if labelled else [""] * 3)
    axis.set_xticks(range(len(victims)), [v.replace(" (", "\n(") for v in victims])
    axis.set_title(entries[0].task, pad=18)
    axis.annotate(
        entries[0].metric, (0, 1), (0, 5), xycoords="axes fraction", textcoords="offset points",
        color=QUIET, fontsize=8.5,
    )  # fmt: skip
    axis.grid(axis="y")
    bare(axis)
    if labelled:
        axis.set_ylabel("left of the clean figure")


def _sorted_bars(axis: Axes, entries: Sequence[Series]) -> None:
    ordered = sorted(entries, key=lambda e: e.retention or 0, reverse=True)
    labels = [e.label for e in ordered]
    for row, entry in enumerate(ordered):
        assert entry.retention is not None
        axis.barh(
            row, entry.retention, 0.72, color=colour_of(entry.condition, labels),
            xerr=entry.retention_deviation, ecolor=INK, capsize=2, error_kw={"linewidth": 0.9},
        )  # fmt: skip
        axis.text(
            entry.retention + (entry.retention_deviation or 0) + 0.02, row,
            per_cent(entry.retention), va="center", fontsize=8, color=INK,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
        )  # fmt: skip
    axis.set_yticks(range(len(labels)), labels)
    for tick, entry in zip(axis.get_yticklabels(), ordered, strict=True):
        if entry.ours:
            tick.set_fontweight("bold")
            tick.set_color(OURS_COLOUR)
    axis.axvline(1, color=QUIET, linewidth=0.8, linestyle=(0, (4, 3)))
    axis.set_xlim(0, 1.3)
    axis.set_xticks([0, 0.5, 1], ["0", "50%", "100%"])
    note = "" if entries[0].measurable else ", below its floor"
    axis.set_title(f"{entries[0].task}, {entries[0].victim}{note}")
    axis.grid(axis="x")
    bare(axis)


def _rows(widths: Sequence[int]) -> list[list[int]]:
    """Fill rows in order, none wider than :data:`ACROSS` unless one item alone is."""
    rows: list[list[int]] = []
    used = ACROSS + 1
    for index, width in enumerate(widths):
        if used + width > ACROSS:
            rows.append([])
            used = 0
        rows[-1].append(index)
        used += width
    return rows
