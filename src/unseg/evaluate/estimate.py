"""How long a run will take, from those that were timed."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable

from unseg.evaluate.results import Result
from unseg.evaluate.suites.base import Cell


class Estimate:
    """Median time of the runs that are most alike.

    Alike are, first to last: the same task, victim and condition; the same task and victim; the
    same task. Without any of them a fixed time is assumed.

    Args:
        results: timed before.
        minutes: assumed for what nothing is known of.
    """

    def __init__(self, results: Iterable[Result], minutes: float) -> None:
        self._minutes = minutes
        self._spans: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
        for result in results:
            names = (result.named("task"), result.named("victim"), result.named("condition"))
            self._add(names, result)

    def add(self, cell: Cell, result: Result) -> None:
        """A run that has just ended."""
        self._add((cell.task, cell.victim.name, cell.condition), result)

    def seconds(self, cell: Cell) -> float:
        """Estimated seconds of a run."""
        spans = self._find(cell)
        return statistics.median(spans) if spans else 60 * self._minutes

    def known(self, cell: Cell) -> bool:
        """Whether any run of the task was timed."""
        return bool(self._find(cell))

    def _find(self, cell: Cell) -> list[float]:
        names = (cell.task, cell.victim.name, cell.condition)
        found = (
            self._spans[names[:length]] for length in (3, 2, 1) if names[:length] in self._spans
        )
        return next(found, [])

    def _add(self, names: tuple[str, ...], result: Result) -> None:
        for length in (1, 2, 3):
            self._spans[names[:length]].append(sum(result.seconds.values()))
