"""Figures of the report: drawing and nothing else, from joined results.

A figure is a function from results and a path to whether there was anything to draw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from unseg.report.figures.bars import condition_bars, retention_bars
from unseg.report.figures.curves import BudgetCurve, MixingCurve, VisibilityCurve
from unseg.report.figures.heat import defence_map
from unseg.report.summary import Series

Figure = Callable[[Sequence[Series], Path], bool]

FIGURES: dict[str, tuple[str, Figure]] = {
    "retention": (
        "What is left of every victim's clean figure; whiskers: standard deviation over seeds. "
        "Victims below their task's floor are left out.",
        retention_bars,
    ),
    "conditions": (
        "All conditions for one victim of each task, the strongest at the bottom.",
        condition_bars,
    ),
    "budget": ("The figure over the budget.", BudgetCurve().draw),
    "mixing": (
        "Protected images mixed with clean ones. Where a line lies on that of the clean rest "
        "alone, the protected images taught the victim nothing.",
        MixingCurve().draw,
    ),
    "visibility": (
        "The figure over how far people see the noise, learned and hand-made: lower and further "
        "to the right is better.",
        VisibilityCurve().draw,
    ),
    "defences": (
        "What a defence gives back: the share of the clean figure without a defence. Grey "
        "columns are clean training, where a defence only costs.",
        defence_map,
    ),
}
"""File stem: (caption, drawing)."""

__all__ = ["FIGURES"]
