"""Which runs are asked for: a grid of names, or some of a suite's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from unseg.errors import UnsegError
from unseg.evaluate.build import build_task, first_victim
from unseg.evaluate.suites.base import Cell, Grid, Recipe, Suite
from unseg.evaluate.tasks import Part
from unseg.noise import Budget

USUAL = ("clean", "random", "pattern", "unseg")
"""Conditions of a grid where none is named."""


@dataclass(frozen=True)
class Selection:
    """What is named; an empty sequence or None is what was not.

    Args:
        tasks: names.
        victims: names, or ``module:Name``.
        conditions: names.
        defences: names.
        seeds: numbers.
        eps: largest change inside the mask, in 8-bit steps.
        eps_bg: largest change outside it.
    """

    tasks: Sequence[str] = ()
    victims: Sequence[str] = ()
    conditions: Sequence[str] = ()
    defences: Sequence[str] = ()
    seeds: Sequence[int] = ()
    eps: float | None = None
    eps_bg: float | None = None

    def grid(self, settings: dict[str, Any], part: Part = "test") -> list[Cell]:
        """Every combination of what is named, with defaults for the rest.

        Args:
            settings: of the victims.
            part: which images to test on.
        """
        budget = self._budget()
        cells: list[Cell] = []
        for task in self.tasks:
            victims = self.victims or [first_victim(build_task(task))]
            grid = Grid(
                "", [task], [Recipe.of(name, **settings) for name in victims],
                self.conditions or USUAL, self.defences or ["none"], self.seeds or [0, 1, 2],
                [budget], part,
            )  # fmt: skip
            cells += grid.cells()
        return list(dict.fromkeys(cells))

    def of(self, suite: Suite) -> list[Cell]:
        """A suite's runs that have one of the names given of each kind."""
        kept = [
            cell
            for cell in suite.cells()
            if (not self.tasks or cell.task in self.tasks)
            and (not self.victims or cell.victim.name in self.victims)
            and (not self.conditions or cell.condition in self.conditions)
            and (not self.defences or cell.defence in self.defences)
            and (not self.seeds or cell.seed in self.seeds)
            and (cell.condition == "clean" or self._affords(cell.budget))
        ]
        if not kept:
            raise UnsegError(
                f"--suite {suite.name} has no run that matches the other options: leave some of "
                "them out"
            )
        return kept

    def _budget(self) -> Budget:
        usual = Budget()
        eps = usual.foreground if self.eps is None else self.eps
        eps_bg = usual.background if self.eps_bg is None else self.eps_bg
        try:
            return Budget(eps, eps_bg)
        except ValueError as error:
            raise UnsegError(f"--eps {eps:g} --eps-bg {eps_bg:g}: {error}") from error

    def _affords(self, budget: Budget) -> bool:
        inside = self.eps is None or budget.foreground == self.eps
        return inside and (self.eps_bg is None or budget.background == self.eps_bg)


def shard(cells: list[Cell], text: str) -> list[Cell]:
    """A part of the runs, for one of several processes that share a folder of results.

    Runs on the same published images stay together.

    Args:
        cells: all runs.
        text: ``1/2`` is the first of two parts.
    """
    number, sign, count = text.partition("/")
    if not (sign and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise UnsegError(f"--shard {text}: expected a part such as 1/2 or 2/2")
    sets = [(cell.task, cell.part, cell.condition, cell.budget) for cell in cells]
    mine = set(list(dict.fromkeys(sets))[int(number) - 1 :: int(count)])
    return [cell for cell, published in zip(cells, sets, strict=True) if published in mine]
