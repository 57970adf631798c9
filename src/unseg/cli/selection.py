"""What the options of ``unseg evaluate`` select: a grid of runs, or some of a suite's."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unseg.errors import UnsegError

if TYPE_CHECKING:
    from unseg.evaluate.suites import Cell, Plan
    from unseg.noise import Budget

CONDITIONS = ("clean", "random", "pattern", "unseg")


def words(given: Iterable[str] | None) -> list[str]:
    """Comma-separated and repeated names, each once.

    Example:
        >>> words(["a,b", "c, a"])
        ['a', 'b', 'c']
    """
    parts = [part.strip() for text in given or [] for part in text.split(",")]
    return list(dict.fromkeys(part for part in parts if part))


@dataclass(frozen=True)
class Selection:
    """What the command line names; an empty list or None is an option that was not given.

    Args:
        tasks: names.
        victims: names, or ``module:Name``.
        conditions: names.
        defences: names.
        seeds: numbers.
        eps: largest change inside the mask, in 8-bit steps.
        eps_bg: largest change outside it.
    """

    tasks: list[str]
    victims: list[str]
    conditions: list[str]
    defences: list[str]
    seeds: list[int]
    eps: float | None = None
    eps_bg: float | None = None

    def grid(self, settings: dict[str, Any], part: str) -> list[Cell]:
        """Every combination of what is named, with defaults for the rest.

        Args:
            settings: of the victims.
            part: which images to test on.
        """
        from unseg.evaluate.build import build_task, first_victim
        from unseg.evaluate.suites import Grid, Recipe
        from unseg.noise import Budget

        usual = Budget()
        eps = usual.foreground if self.eps is None else self.eps
        eps_bg = usual.background if self.eps_bg is None else self.eps_bg
        try:
            budget = Budget(eps, eps_bg)
        except ValueError as error:
            raise UnsegError(f"--eps {eps:g} --eps-bg {eps_bg:g}: {error}") from error
        cells: list[Cell] = []
        for task in self.tasks:
            victims = self.victims or [first_victim(build_task(task))]
            grid = Grid(
                "", [task], [Recipe.of(name, **settings) for name in victims],
                self.conditions or CONDITIONS, self.defences or ["none"], self.seeds or [0, 1, 2],
                [budget], part,  # type: ignore[arg-type]
            )  # fmt: skip
            cells += grid.cells()
        return list(dict.fromkeys(cells))

    def of(self, plan: Plan) -> list[Cell]:
        """A suite's runs that have one of the names given of each kind."""
        kept = [
            cell
            for cell in plan.cells()
            if (not self.tasks or cell.task in self.tasks)
            and (not self.victims or cell.victim.name in self.victims)
            and (not self.conditions or cell.condition in self.conditions)
            and (not self.defences or cell.defence in self.defences)
            and (not self.seeds or cell.seed in self.seeds)
            and (cell.condition == "clean" or self._affords(cell.budget))
        ]
        if not kept:
            raise UnsegError(
                f"--suite {plan.name} has no run with what the other options name: leave some out"
            )
        return kept

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


def seed_numbers(given: list[str]) -> list[int]:
    """Seeds as numbers."""
    if not all(word.isdecimal() and int(word) < 1 << 32 for word in given):
        raise UnsegError(
            f"--seeds {','.join(given)}: expected numbers from 0 to {(1 << 32) - 1}, such as 0,1,2"
        )
    return [int(word) for word in given]


def victim_settings(pairs: Iterable[str] | None, **short: int | None) -> dict[str, Any]:
    """``name=value`` pairs; what reads as JSON is a number, true, false or null.

    Args:
        pairs: as they were given.
        short: settings that have an option of their own.

    Example:
        >>> victim_settings(["width=8", "mirror=false", "weights=a.bin"], steps=3)
        {'width': 8, 'mirror': False, 'weights': 'a.bin', 'steps': 3}
    """
    found: dict[str, Any] = {}
    for pair in pairs or []:
        name, sign, text = pair.partition("=")
        if not sign or not name.isidentifier():
            raise UnsegError(f"--victim-set {pair}: expected name=value, for example width=8")
        try:
            found[name] = json.loads(text)
        except json.JSONDecodeError:
            found[name] = text
        if isinstance(found[name], (list, dict)):
            raise UnsegError(f"--victim-set {pair}: expected one value, not several")
    return found | {name: value for name, value in short.items() if value is not None}
