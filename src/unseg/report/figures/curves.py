"""Curves over the budget, the share of protected images, and how far the noise is seen."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unseg.report.figures.style import (
    COLOURS,
    QUIET,
    WIDTH,
    bare,
    colour_of,
    legend,
    new_figure,
    save,
)
from unseg.report.summary import CLEAN, NO_DEFENCE, Series, grouped, unique

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ENOUGH = 3
"""Points a line needs to be one; others are left out."""


class Curve(ABC):
    """One panel for every task and victim that has a line. Hooks: where a result stands."""

    label: str
    """Of the horizontal axis."""

    @abstractmethod
    def lines(self, group: Sequence[Series]) -> dict[str, list[Series]]:
        """Lines by name, from the undefended results of one task and victim."""

    @abstractmethod
    def x(self, entry: Series) -> float:
        """Where a result stands on the horizontal axis."""

    def scale(self, axis: Axes, xs: Sequence[float]) -> None:
        """Set up the horizontal axis for results that stand at ``xs``."""
        axis.margins(x=0.05)

    def draw(self, entries: Sequence[Series], path: Path) -> bool:
        """Draw the figure.

        Returns:
            Whether there was a line to draw.
        """
        undefended = [e for e in entries if e.defence == NO_DEFENCE]
        panels = []
        for group in grouped(undefended, lambda e: (e.task, e.part, e.victim)).values():
            lines = self.lines(group)
            full = {n: p for n, p in lines.items() if len({self.x(e) for e in p}) >= ENOUGH}
            if full:
                panels.append(full)
        if not panels:
            return False
        columns = min(3, len(panels))
        rows = [panels[i : i + columns] for i in range(0, len(panels), columns)]
        names = unique(name for lines in panels for name in lines)
        figure, grid = new_figure(len(rows), 3.1, WIDTH if columns > 1 else 6.5)
        for row, strip in zip(rows, grid, strict=True):
            cells = strip.subgridspec(1, columns)
            for column in range(columns):
                axis = figure.add_subplot(cells[column])
                if column < len(row):
                    self._panel(axis, row[column], names)
                else:
                    axis.set_axis_off()
        legend(figure, names)
        save(figure, path)
        return True

    def _panel(self, axis: Axes, lines: dict[str, list[Series]], names: Sequence[str]) -> None:
        for name, points in lines.items():
            points = sorted(points, key=self.x)
            axis.errorbar(
                [self.x(e) for e in points], [e.mean for e in points],
                yerr=[e.deviation or 0 for e in points], marker="o", markersize=4.5, capsize=2.5,
                linewidth=1.8, color=colour_of(name, names),
                linestyle="-" if name in COLOURS else (0, (3, 2)),
            )  # fmt: skip
        every = [e for points in lines.values() for e in points]
        first = every[0]
        if first.clean is not None:
            axis.axhline(first.clean, color=QUIET, linewidth=0.9, linestyle=(0, (4, 3)))
            axis.annotate(
                "clean", (1, first.clean), (-2, 3), xycoords=("axes fraction", "data"),
                textcoords="offset points", ha="right", fontsize=8, color=QUIET,
            )  # fmt: skip
        self.scale(axis, sorted({self.x(e) for e in every}))
        axis.set_ylim(bottom=0)
        axis.set_xlabel(self.label)
        axis.set_ylabel(f"{first.metric} on clean images")
        axis.set_title(f"{first.task}, {first.victim}")
        axis.grid(axis="y")
        bare(axis)


class BudgetCurve(Curve):
    """The metric over the largest change of a pixel."""

    label = "largest change inside the mask, 8-bit steps"

    def lines(self, group: Sequence[Series]) -> dict[str, list[Series]]:
        protected = [e for e in group if e.standard and e.condition != CLEAN]
        return grouped(protected, lambda e: e.condition)

    def x(self, entry: Series) -> float:
        return entry.budget.foreground

    def scale(self, axis: Axes, xs: Sequence[float]) -> None:
        axis.set_xscale("log", base=2)
        axis.set_xticks(xs, [f"{x:g}" for x in xs])


class MixingCurve(Curve):
    """The metric over the share of protected images, beside that of the clean rest alone."""

    label = "share of the images that is protected, %"

    def lines(self, group: Sequence[Series]) -> dict[str, list[Series]]:
        clean = [e for e in group if e.condition == CLEAN]
        mixed = grouped([e for e in group if e.share is not None], lambda e: e.inner or "")
        whole = grouped([e for e in group if e.standard], lambda e: e.label)
        # Every line starts where nothing is protected; only a condition's ends where all is.
        return {
            "the clean rest alone" if name == CLEAN else name: [
                *clean, *points, *(whole.get(name, []) if name != CLEAN else []),
            ]
            for name, points in mixed.items()
        }  # fmt: skip

    def x(self, entry: Series) -> float:
        return 100 * entry.protected_share


class VisibilityCurve(Curve):
    """The metric over how far people see the noise, hand-made and learned, at several levels."""

    label = "mean SSIMULACRA2 of the training images (to the right: less is seen)"

    def lines(self, group: Sequence[Series]) -> dict[str, list[Series]]:
        judged = [
            e for e in group if e.standard and (e.ours or e.frontier) and e.visibility is not None
        ]
        # One line is one noise at all its levels; its name has none of them.
        noises = grouped(judged, lambda e: e.without_level).values()
        return {one[0].condition.replace(f"-{one[0].level}", ""): one for one in noises}

    def x(self, entry: Series) -> float:
        assert entry.visibility is not None
        return entry.visibility[0]
