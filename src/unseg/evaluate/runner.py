"""Many runs, one after the other: resumed by key, with what is left and what is not there."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from unseg.errors import UnsegError
from unseg.evaluate import processes
from unseg.evaluate.build import build_task, build_victim, check, data_folder, require_kind
from unseg.evaluate.conditions import Condition, build_condition
from unseg.evaluate.defences import DEFENCES, Defence
from unseg.evaluate.estimate import Estimate
from unseg.evaluate.pictures import Pictures, save_pictures
from unseg.evaluate.protocol import CACHE, Bench, configuration, run
from unseg.evaluate.results import Result, ResultStore, content_key
from unseg.evaluate.suites.base import Cell
from unseg.evaluate.tasks import Task
from unseg.evaluate.victims import Victim

_log = logging.getLogger(__name__)

BENCHES = 2
"""Data sets held in memory at once."""


@dataclass(frozen=True)
class Entry:
    """A cell and what is known of it before it runs.

    Args:
        cell: what is asked for.
        key: of its result, or None where the cell cannot run.
        stored: whether the result is there already.
        reason: why it cannot run, in one line.
        members: checksum of which image trains and which tests.
    """

    cell: Cell
    key: str | None
    stored: bool = False
    reason: str = ""
    members: str | None = None


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
    """How cells are run; of it, a result's key holds what ``model`` loads and the precision.

    Args:
        data: a data set's own folder, or the root that holds the tasks' folders.
        model: generator of the conditions that need one.
        strict: raise what is wrong with a cell instead of skipping it.
        pictures: whose predictions are stored as pictures beside the results.
        mixed_precision: accelerate's ``no``, ``fp16`` or ``bf16``.
        cpu: keep off any GPU.
        minutes: assumed for a run until one of its kind was timed.
        cache: folder for the published images of sets that do not fit in memory.
    """

    data: Path
    model: str = "default"
    strict: bool = True
    pictures: Pictures = "allowed"
    mixed_precision: str = "no"
    cpu: bool = False
    minutes: float = 6.0
    cache: Path = CACHE


class Runner:
    """Cells, the results that are there, and the data that is loaded.

    ``failed`` counts the cells that ended with a fault, not with a reason why they cannot run.

    Args:
        cells: in the order in which they run.
        store: where results are found and saved.
        options: see :class:`Options`.

    Raises:
        UnsegError: in strict mode, for a cell that cannot run, before anything runs.
    """

    def __init__(self, cells: Sequence[Cell], store: ResultStore, options: Options) -> None:
        # Before anything is asked: keys depend on how many processes there are.
        processes.accelerator(options.mixed_precision, options.cpu)
        self.store, self.options = store, options
        self.estimate = Estimate(store.all() if store.folder.is_dir() else [], options.minutes)
        self.tasks: dict[str, Task] = {}
        self._benches: dict[tuple[str, str], Bench] = {}
        self._broken: dict[object, str] = {}
        self.failed = 0
        self._surveyed: dict[Cell, Entry] = {}
        # One data set after the other, so that each is read once.
        for cell in sorted(cells, key=lambda c: (c.task, c.part)):
            if cell not in self._surveyed:
                self._surveyed[cell] = self._survey(cell)
        self.entries = [self._surveyed[cell] for cell in dict.fromkeys(cells)]

    def seconds(self, entry: Entry) -> float:
        """Estimated time of a cell: nothing where its result is there or cannot be."""
        return 0.0 if entry.stored or entry.reason else self.estimate.seconds(entry.cell)

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
        for index, entry in enumerate(self.entries):
            result, reason = None, entry.reason
            waiting = not reason and not entry.stored
            if waiting and processes.from_first(lambda: time.perf_counter() - started > limit):
                return
            if entry.stored:
                assert entry.key is not None
                result = self.store.find(entry.key, entry.members)
            elif not reason:
                result, reason = self._run(entry.cell, progress)
            later = self.entries[index + 1 :]
            left = sum(self.seconds(other) for other in later)
            yield Step(entry.cell, result, reason, index + 1, len(self.entries), left, entry.stored)

    def _run(
        self, cell: Cell, progress: Callable[[Cell, float], None]
    ) -> tuple[Result | None, str]:
        # What failed for one condition (a missing wheel) fails for the next, after the wait.
        known = self._broken.get((cell.task, cell.victim))
        if known is not None:
            return None, known
        single = self.options.strict and len(self.entries) == 1
        try:
            bench, victim, condition, defence = self._build(cell)
            result = run(
                bench, victim, condition, defence, cell.seed,
                label=cell.defence, store=self.store,
                progress=lambda share: progress(cell, share),
                mixed_precision=self.options.mixed_precision, cpu=self.options.cpu,
            )  # fmt: skip
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
            if processes.place()[1] > 1:
                raise
            if single:
                _log.debug("%s failed", cell, exc_info=True)
                raise UnsegError(f"{cell} failed: {type(error).__name__}: {error}") from error
            _log.exception("%s failed", cell)
            self.failed += 1
            return None, f"failed: {type(error).__name__}: {error}"
        self.estimate.add(cell, result)
        if processes.is_first():
            try:
                save_pictures(self.store.folder, result, bench, victim, self.options.pictures)
            except OSError as error:
                _log.warning("%s: the result is stored, its picture is not: %s", cell, error)
        return result, ""

    def _survey(self, cell: Cell) -> Entry:
        for broken in ((cell.task, cell.part), (cell.task, cell.victim)):
            if broken in self._broken:
                return Entry(cell, None, reason=self._broken[broken])
        try:
            bench, victim, condition, defence = self._build(cell)
            config = configuration(bench, victim, condition, defence, cell.defence, cell.seed)
        except UnsegError as error:
            if self.options.strict:
                raise
            return Entry(cell, None, reason=str(error))
        key = content_key(config)
        stored = self.store.find(key, bench.members) is not None
        return Entry(cell, key, stored, members=bench.members)

    def _build(self, cell: Cell) -> tuple[Bench, Victim, Condition, Defence]:
        task = self.tasks.setdefault(cell.task, build_task(cell.task))
        check("--defences", cell.defence, DEFENCES)
        victim = self._victim(task, cell)
        condition = self._condition(cell)
        return self._bench(task, cell), victim, condition, DEFENCES[cell.defence]()

    def _condition(self, cell: Cell) -> Condition:
        try:
            return build_condition(cell.condition, budget=cell.budget, model=self.options.model)
        except UnsegError as error:
            # Where the name itself is wrong, the message begins with it.
            named = str(error).startswith(f"{cell.condition} ")
            raise UnsegError(f"--conditions: {error}" if named else str(error)) from error

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
        bench = self._benches.pop(wanted, None)
        if bench is None:
            try:
                folder = data_folder(task, self.options.data)
                bench = Bench(task, folder, cell.part, cache=self.options.cache)
            except UnsegError as error:
                self._broken[wanted] = str(error)
                raise
        self._benches[wanted] = bench
        while len(self._benches) > BENCHES:
            self._benches.pop(next(iter(self._benches)))
        return bench
