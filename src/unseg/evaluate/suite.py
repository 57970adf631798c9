"""Many runs: conditions x defences x seeds, resumed by key."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from unseg.evaluate.conditions import Condition
from unseg.evaluate.defences import Defence
from unseg.evaluate.protocol import Bench, configuration, run
from unseg.evaluate.results import Result, ResultStore, content_key
from unseg.evaluate.victims import Victim


@dataclass(frozen=True)
class Cell:
    """One run to be made."""

    condition: Condition
    label: str
    defence: Defence
    seed: int

    def __str__(self) -> str:
        return f"{self.condition.name}, {self.label}, seed {self.seed}"


@dataclass(frozen=True)
class Finished:
    """What is reported after every run.

    Args:
        cell: what ran.
        result: its result.
        done: runs finished so far, this one included.
        total: runs of the suite.
        remaining: estimated seconds to the end of the suite.
        reused: whether the result was already there.
    """

    cell: Cell
    result: Result
    done: int
    total: int
    remaining: float
    reused: bool


def cells(
    conditions: Sequence[Condition], defences: Mapping[str, Defence], seeds: Sequence[int]
) -> list[Cell]:
    """Every combination; defences innermost, so that a published training set is reused."""
    return [
        Cell(condition, label, defence, seed)
        for condition in conditions
        for seed in seeds
        for label, defence in defences.items()
    ]


def is_stored(bench: Bench, victim: Victim, cell: Cell, store: ResultStore) -> bool:
    """Whether a cell's result is there already."""
    config = configuration(bench, victim, cell.condition, cell.defence, cell.label, cell.seed)
    return store.find(content_key(config)) is not None


def run_suite(
    bench: Bench,
    victim: Victim,
    suite: Sequence[Cell],
    store: ResultStore,
    progress: Callable[[Cell, float], None] = lambda cell, share: None,
) -> Iterator[Finished]:
    """Run the cells that have no result yet; yields after every one, in order."""
    reused = [is_stored(bench, victim, cell, store) for cell in suite]
    spans: list[float] = []
    for index, cell in enumerate(suite):
        started = time.perf_counter()
        result = run(
            bench, victim, cell.condition, cell.defence, cell.seed,
            label=cell.label, store=store,
            progress=lambda share, cell=cell: progress(cell, share),  # type: ignore[misc]
        )  # fmt: skip
        if not reused[index]:
            spans.append(time.perf_counter() - started)
        left = sum(not seen for seen in reused[index + 1 :])
        remaining = left * statistics.median(spans) if spans else 0.0
        yield Finished(cell, result, index + 1, len(suite), remaining, reused[index])
