"""Many runs, one after the other: resumed by key, with what is left and what is not there."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unseg.datasets.samples import LazySamples
from unseg.errors import UnsegError
from unseg.evaluate.bench import CACHE, Bench
from unseg.evaluate.build import (
    build_defence,
    build_task,
    build_victim,
    data_folder,
    require_kind,
)
from unseg.evaluate.conditions.build import build_condition
from unseg.evaluate.estimate import Estimate
from unseg.evaluate.pictures import Pictures, save_pictures
from unseg.evaluate.processes import Processes
from unseg.evaluate.protocol import Run, published_as, run
from unseg.evaluate.results import Result, ResultStore, content_key
from unseg.evaluate.suites.base import Cell
from unseg.evaluate.tasks import Task
from unseg.evaluate.victims import Victim

_log = logging.getLogger(__name__)

BENCHES = 2
"""Data sets held in memory at once."""


@dataclass(frozen=True)
class Surveyed:
    """A cell and what is known of it before it runs.

    Args:
        cell: what is asked for.
        stored: its result, where it is there already.
        reason: why it cannot run, in one line.
    """

    cell: Cell
    stored: Result | None = None
    reason: str = ""


@dataclass(frozen=True)
class Step:
    """What is reported after every cell.

    Args:
        cell: what ran or was skipped.
        result: its result, or None where it was skipped.
        reason: why it was skipped, in one line.
        done: cells dealt with so far, this one included.
        total: cells in all.
        remaining: estimated seconds to the end.
        reused: whether the result was already there.
    """

    cell: Cell
    result: Result | None
    reason: str
    done: int
    total: int
    remaining: float
    reused: bool


@dataclass(frozen=True)
class Options:
    """How cells are run; of it, a result's key holds what ``model`` loads and what is learned from.

    Args:
        data: a data set's own folder, or the root that holds the tasks' folders.
        model: generator of the conditions that need one.
        strict: raise what is wrong with a cell instead of skipping it.
        pictures: whose predictions are stored as pictures beside the results.
        minutes: assumed for a run until one of its kind was timed.
        cache: folder for the published images of sets that do not fit in memory.
        clean_images: folder of clean photographs, ``im/`` and ``gt/``, for defences that learn.
    """

    data: Path
    model: str = "default"
    strict: bool = True
    pictures: Pictures = "allowed"
    minutes: float = 6.0
    cache: Path = CACHE
    clean_images: Path | None = None


class Runner:
    """Cells, the results that are there, and the data that is loaded.

    Every run is built once, here, and the store asked for it once. ``failed`` counts the cells
    that ended with a fault, not with a reason why they cannot run.

    Args:
        cells: in the order in which they run.
        store: where results are found and saved.
        options: see :class:`Options`.
        processes: the devices to train on; by default this process alone.
        tasks: by name, where cells name one that is made already.

    Raises:
        UnsegError: in strict mode, for a cell that cannot run, before anything runs.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        store: ResultStore,
        options: Options,
        processes: Processes | None = None,
        tasks: Mapping[str, Task] | None = None,
    ) -> None:
        self.store, self.options = store, options
        self.processes = processes or Processes()
        self.estimate = Estimate(store.all() if store.folder.is_dir() else [], options.minutes)
        self.tasks: dict[str, Task] = dict(tasks or {})
        self.failed = 0
        self._benches: dict[tuple[str, str], Bench] = {}
        self._broken: dict[object, str] = {}
        self._runs: dict[Cell, Run] = {}
        jobs: dict[Cell, Surveyed] = {}
        # One data set after the other, so that each is read once.
        for cell in sorted(dict.fromkeys(cells), key=lambda c: (c.task, c.part)):
            jobs[cell] = self.survey(cell)
        self.surveyed = [jobs[cell] for cell in dict.fromkeys(cells)]

    def seconds(self, job: Surveyed) -> float:
        """Estimated time of a cell: nothing where its result is there or cannot be."""
        return 0.0 if job.stored or job.reason else self.estimate.seconds(job.cell)

    def run(
        self,
        progress: Callable[[Cell, float], None] = lambda cell, share: None,
        limit: float = float("inf"),
    ) -> Iterator[Step]:
        """Run what has no result yet; yields after every cell, in order.

        Args:
            progress: called with the share of a cell's training that is done.
            limit: seconds after which no new run is started.
        """
        started = time.perf_counter()

        def late() -> bool:
            return time.perf_counter() - started > limit

        for index, job in enumerate(self.surveyed):
            result, reason = job.stored, job.reason
            if result is None and not reason:
                if self.processes.from_first(late):
                    return
                result, reason = self.run_cell(job.cell, progress)
            left = sum(self.seconds(other) for other in self.surveyed[index + 1 :])
            reused = job.stored is not None
            yield Step(job.cell, result, reason, index + 1, len(self.surveyed), left, reused)

    def published_set(self, cell: Cell) -> tuple[str, bool]:
        """Key of the training set of a cell without result, and whether it is kept in files."""
        planned = self._runs[cell]
        condition = planned.condition
        lazy = isinstance(planned.bench.split.train, LazySamples)
        return content_key(published_as(planned)[1]), condition.costly or lazy

    def share(self, cell: Cell, rank: int, count: int) -> None:
        """Make a part of the training set of a cell without result (:meth:`Bench.share`)."""
        planned = self._runs[cell]
        self._hold(planned.bench)
        planned.bench.share(planned.condition, *published_as(planned), rank, count)

    def run_cell(
        self, cell: Cell, progress: Callable[[Cell, float], None]
    ) -> tuple[Result | None, str]:
        """Run a cell without result: the result, or None and why in one line."""
        # What failed for one condition (a missing wheel) fails for the next, after the wait.
        known = self._broken.get((cell.task, cell.victim))
        if known is not None:
            return None, known
        single = self.options.strict and len(self.surveyed) == 1
        # Taken out: a trained victim holds its network.
        planned = self._runs.pop(cell)
        self._hold(planned.bench)
        try:
            result = run(planned, store=self.store, progress=lambda share: progress(cell, share))
        except UnsegError as error:
            if single:
                raise
            self.failed += self.options.strict
            if cell.condition == "clean" and cell.defence == "none":
                self._broken[cell.task, cell.victim] = str(error)
            return None, str(error)
        except Exception as error:
            # A fault in one cell must not cost a night's suite the others; it is told at the end.
            # One process of several that went on alone would wait for the others in the next cell.
            if self.processes.num_processes > 1:
                raise
            if single:
                _log.debug("%s failed", cell, exc_info=True)
                raise UnsegError(f"{cell} failed: {type(error).__name__}: {error}") from error
            _log.exception("%s failed", cell)
            self.failed += 1
            return None, f"failed: {type(error).__name__}: {error}"
        self.estimate.add(cell, result)
        if self.processes.first:
            try:
                save_pictures(
                    self.store.folder, result, planned.bench, planned.victim, self.options.pictures
                )
            except OSError as error:
                _log.warning("%s: the result is stored, its picture is not: %s", cell, error)
        return result, ""

    def survey(self, cell: Cell) -> Surveyed:
        """What is known of a cell; its run is built where it has no result yet."""
        for broken in ((cell.task, cell.part), (cell.task, cell.victim)):
            if broken in self._broken:
                return Surveyed(cell, reason=self._broken[broken])
        try:
            planned = self._build(cell)
        except UnsegError as error:
            if self.options.strict:
                raise
            return Surveyed(cell, reason=str(error))
        stored = self.processes.from_first(lambda: self.store.find(planned.key))
        if stored is None:
            self._runs[cell] = planned
        return Surveyed(cell, stored)

    def _build(self, cell: Cell) -> Run:
        if cell.task not in self.tasks:
            self.tasks[cell.task] = build_task(cell.task)
        task = self.tasks[cell.task]
        defence = build_defence(cell.defence, self.options.clean_images)
        victim = self._victim(task, cell)
        condition = build_condition(cell.condition, budget=cell.budget, model=self.options.model)
        return Run.of(
            self._bench(task, cell), victim, condition, defence, cell.seed,
            label=cell.defence, processes=self.processes,
        )  # fmt: skip

    def _victim(self, task: Task, cell: Cell) -> Victim:
        try:
            victim = build_victim(cell.victim)
            require_kind(task, victim)
        except UnsegError as error:
            self._broken[cell.task, cell.victim] = str(error)
            raise
        return victim

    def _bench(self, task: Task, cell: Cell) -> Bench:
        wanted = (cell.task, cell.part)
        if wanted not in self._benches:
            try:
                folder = data_folder(task, self.options.data)
                self._benches[wanted] = Bench(task, folder, cell.part, cache=self.options.cache)
            except UnsegError as error:
                self._broken[wanted] = str(error)
                raise
            self._hold(self._benches[wanted])
        return self._benches[wanted]

    def _hold(self, bench: Bench) -> None:
        """Keep a data set in memory, as the latest of a few."""
        others = [one for one in self._benches.values() if one is not bench and one.held]
        others.sort(key=lambda one: one.used)
        bench.used = time.monotonic()
        for one in others[: max(0, len(others) - BENCHES + 1)]:
            one.release()
