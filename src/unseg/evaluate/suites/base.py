"""Suites as data: readable declarations that expand into the runs of a table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from unseg.evaluate.tasks.base import Part
from unseg.noise import Budget


@dataclass(frozen=True)
class Recipe:
    """A victim with the settings that a suite gives it.

    Args:
        name: of the victim, in ``VICTIMS`` or as ``module:Name``.
        settings: constructor arguments that differ from its own, as (name, value) pairs.

    Example:
        >>> Recipe.of("unet", width=8).settings
        (('width', 8),)
    """

    name: str
    settings: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, name: str, **settings: Any) -> Recipe:
        """A recipe from keyword arguments."""
        return cls(name, tuple(sorted(settings.items())))


@dataclass(frozen=True)
class Cell:
    """One run, by names alone: nothing is loaded or built yet.

    Args:
        task: name in ``TASKS``.
        victim: what is trained.
        condition: as ``build_condition`` reads it, for example ``unseg`` or ``unseg@80``.
        defence: name in ``DEFENCES``.
        seed: of the victim's start and batches, and of conditions that draw at random.
        budget: the bound of the condition, in 8-bit steps.
        part: which images to test on.
    """

    task: str
    victim: Recipe
    condition: str = "clean"
    defence: str = "none"
    seed: int = 0
    budget: Budget = Budget()
    part: Part = "test"

    def lasting(self, steps: int) -> Cell:
        """The same run with another number of training steps."""
        settings = {**dict(self.victim.settings), "steps": steps}
        return replace(self, victim=Recipe.of(self.victim.name, **settings))

    def __str__(self) -> str:
        budget = f"{self.budget.foreground:g}/{self.budget.background:g}"
        changed = self.condition
        if not changed.startswith("clean"):
            changed += f" {budget}"
        words = [self.task, self.victim.name, changed, self.defence]
        return ", ".join([*words, f"seed {self.seed}"])


@dataclass(frozen=True)
class Grid:
    """Every combination of what is listed; the victims and defences of a condition run together.

    Args:
        about: what the runs show, in a few words.
        tasks: names of tasks.
        victims: names, or recipes with settings of their own.
        conditions: what the training images become.
        defences: what the trainer does to them.
        seeds: one run each.
        budgets: bounds, in 8-bit steps.
        part: which images to test on.

    Example:
        >>> grid = Grid("first look", ["person"], ["unet"], ["clean", "unseg"], seeds=[0, 1])
        >>> [str(cell) for cell in grid.cells()][0]
        'person, unet, clean, none, seed 0'
        >>> len(list(grid.cells()))
        4
    """

    about: str
    tasks: Sequence[str]
    victims: Sequence[str | Recipe]
    conditions: Sequence[str]
    defences: Sequence[str] = ("none",)
    seeds: Sequence[int] = (0,)
    budgets: Sequence[Budget] = (Budget(),)
    part: Part = "test"

    def cells(self) -> Iterator[Cell]:
        """Conditions before victims, so that one published training set serves them all."""
        for task, condition, budget, seed, victim, defence in product(
            self.tasks, self.conditions, self.budgets, self.seeds, self.victims, self.defences
        ):
            recipe = Recipe(victim) if isinstance(victim, str) else victim
            yield Cell(task, recipe, condition, defence, seed, budget, self.part)


@dataclass(frozen=True)
class Suite:
    """Which runs make a table.

    Args:
        name: what ``--suite`` is given.
        summary: one line for ``--list``.
        grids: the most telling first, because a suite may be stopped at any time.
        minutes: what one run may take, for estimates before any was timed.
        data: writes the data below an empty folder, where the suite makes its own.
        defaults: settings by victim that a grid's own recipes add to.
        conditions: by task, which condition takes another's place there, such as ours with a tint
            where an owner would ask for one; shares and classes behind a name stay.
    """

    name: str
    summary: str
    grids: Sequence[Grid]
    minutes: float = 6.0
    data: Callable[[Path], None] | None = None
    defaults: Mapping[str, Recipe] = field(default_factory=dict)
    conditions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def cells(self) -> list[Cell]:
        """All runs in order; what several grids ask for comes once, where it comes first.

        Clean training knows no budget and is listed once for all of them.
        """
        found: dict[Cell, None] = {}
        for grid in self.grids:
            for cell in grid.cells():
                found.setdefault(self._default(cell))
        return list(found)

    def _default(self, cell: Cell) -> Cell:
        known = self.defaults.get(cell.victim.name)
        merged = dict(known.settings if known else ()) | dict(cell.victim.settings)
        budget = Budget() if cell.condition == "clean" else cell.budget
        name = re.match(r"[\w-]*", cell.condition)
        assert name is not None
        usual = name[0]
        condition = self.conditions.get(cell.task, {}).get(usual, usual)
        return Cell(
            cell.task, Recipe.of(cell.victim.name, **merged),
            condition + cell.condition.removeprefix(usual), cell.defence, cell.seed, budget,
            cell.part,
        )  # fmt: skip
