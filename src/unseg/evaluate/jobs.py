"""Several runs at once, each in a process of its own: on the cores of a CPU, or on one GPU.

A costly training set is made first, its images shared among the processes, and never twice; what
trains on it waits. Results and images reach their folders whole or not at all, so that the
processes may be stopped at any time.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from unseg.errors import UnsegError
from unseg.evaluate.processes import Device
from unseg.evaluate.results import Result, ResultStore
from unseg.evaluate.runner import Options, Runner, Step, Surveyed
from unseg.evaluate.suites.base import Cell
from unseg.evaluate.tasks import Task

Group = tuple[str, str, str]
"""Task, part and key of a published training set."""

LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Setup:
    """What a process needs to run cells like its parent.

    Args:
        folder: of the results.
        options: the parent's.
        tasks: made already, by name.
        mixed_precision: as :class:`Processes` takes it.
        device: likewise.
        threads: of a process.
    """

    folder: Path
    options: Options
    tasks: Mapping[str, Task]
    mixed_precision: str
    device: Device
    threads: int


@dataclass(frozen=True)
class Share:
    """A part of the images of a published set: ``rank``, ``rank + count`` and so on."""

    cell: Cell
    rank: int
    count: int


@dataclass(frozen=True)
class Answer:
    """What came of a run.

    Args:
        result: None where there is none.
        reason: why, in one line.
        failed: whether it counts as a fault.
    """

    result: Result | None = None
    reason: str = ""
    failed: int = 0


def cores() -> int:
    """CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class Worker:
    """A process and what it is at.

    Args:
        process: started.
        pipe: to and from it.
        maker: it makes images and trains nothing.
        at: what it does, or None.
        group: of the last run, whose published images it still holds.
    """

    process: BaseProcess
    pipe: Connection
    maker: bool = False
    at: Cell | Share | None = None
    group: Group | None = None


@dataclass
class Waiting:
    """A published set that is not there yet: shares to be made, and those being made."""

    open: list[Share]
    made: set[int] = field(default_factory=set)


def run_jobs(runner: Runner, jobs: int, limit: float = float("inf")) -> Iterator[Step]:
    """Run what has no result yet, several at once; yields after every cell, as they end.

    Args:
        runner: opened in this process, which trains nothing itself.
        jobs: processes.
        limit: seconds after which nothing new is started.

    Raises:
        UnsegError: when a process dies, after the others are stopped.
    """
    if runner.processes.num_processes > 1:
        raise UnsegError("--jobs and accelerate launch do not go together: use one of them")
    schedule = _Schedule(runner, min(jobs, sum(map(_left, runner.surveyed)) or 1))
    for job in runner.surveyed:
        if not _left(job):
            yield schedule.step(job.cell, job.stored, job.reason, job.stored is not None)
    if schedule.pending:
        with _crew(_setup(runner, schedule.jobs), schedule.jobs, schedule.makers) as workers:
            yield from schedule.run(workers, limit)


def _left(job: Surveyed) -> bool:
    return job.stored is None and not job.reason


def _setup(runner: Runner, jobs: int) -> Setup:
    processes = runner.processes
    threads = max(1, cores() // jobs)
    return Setup(
        runner.store.folder, runner.options, runner.tasks, processes.mixed_precision,
        "cuda" if processes.device.type == "cuda" else "cpu", threads,
    )  # fmt: skip


class _Schedule:
    """Which process does what next."""

    def __init__(self, runner: Runner, jobs: int) -> None:
        self._runner, self.jobs = runner, jobs
        self.pending = [job.cell for job in runner.surveyed if _left(job)]
        self._reported = 0
        self._groups: dict[Cell, Group] = {}
        self._waiting: dict[Group, Waiting] = {}
        for cell in self.pending:
            key, kept = runner.published_set(cell)
            group = self._groups[cell] = (cell.task, cell.part, key)
            if kept and group not in self._waiting:
                shares = max(jobs, cores())
                self._waiting[group] = Waiting([Share(cell, i, shares) for i in range(shares)])
        gpu = runner.processes.device.type == "cuda"
        # A GPU leaves most cores idle, and images are made on cores.
        self.makers = max(0, cores() - jobs) if gpu and self._waiting else 0

    def step(self, cell: Cell, result: Result | None, reason: str, reused: bool = False) -> Step:
        self._reported += 1
        left = sum(map(self._runner.estimate.seconds, self.pending)) / self.jobs
        return Step(cell, result, reason, self._reported, len(self._runner.surveyed), left, reused)

    def run(self, workers: list[Worker], limit: float) -> Iterator[Step]:
        started = time.perf_counter()
        while True:
            for worker in workers:
                late = time.perf_counter() - started > limit
                if worker.at is None and not late and (work := self._next(worker, workers)):
                    worker.at = work
                    worker.pipe.send(work)
            busy = [worker for worker in workers if worker.at is not None]
            if not busy:
                break
            for ready in connection.wait([one.pipe for one in busy]):
                worker = next(one for one in busy if one.pipe is ready)
                yield from self._ended(worker)

    def _ended(self, worker: Worker) -> Iterator[Step]:
        work, worker.at = worker.at, None
        try:
            answer: Answer = worker.pipe.recv()
        except (EOFError, OSError) as error:
            worker.process.join(5)
            cell = work.cell if isinstance(work, Share) else work
            raise UnsegError(
                f"{cell}: its process ended with code {worker.process.exitcode}, perhaps for want "
                "of memory: use fewer --jobs; what is stored is kept"
            ) from error
        if isinstance(work, Share):
            group = self._groups[work.cell]
            waiting = self._waiting[group]
            waiting.made.add(work.rank)
            # A set that cannot be made says so in the run that asks for it.
            if len(waiting.made) == work.count or answer.reason:
                del self._waiting[group]
            return
        assert isinstance(work, Cell)
        self._runner.failed += answer.failed
        if answer.result is not None:
            self._runner.estimate.add(work, answer.result)
        elif work.condition == "clean" and work.defence == "none":
            # What failed for one condition (a missing wheel) fails for the next, after the wait.
            alike = [c for c in self.pending if (c.task, c.victim) == (work.task, work.victim)]
            self.pending = [cell for cell in self.pending if cell not in alike]
            yield from (self.step(cell, None, answer.reason) for cell in alike)
        yield self.step(work, answer.result, answer.reason)

    def _next(self, worker: Worker, workers: list[Worker]) -> Cell | Share | None:
        if worker.maker:
            return self._share()
        making = sum(isinstance(one.at, Share) for one in workers)
        # Half of the processes make images while the others train.
        if making < (self.jobs + 1) // 2 and not self.makers and (share := self._share()):
            return share
        ready = [cell for cell in self.pending if self._groups[cell] not in self._waiting]
        if not ready:
            return self._share()
        taken = {one.group for one in workers if one is not worker and one.at is not None}
        # What it holds already, else what no other holds, else the first.
        order = sorted(
            range(len(ready)),
            key=lambda i: (
                self._groups[ready[i]] != worker.group, self._groups[ready[i]] in taken, i,
            ),
        )  # fmt: skip
        chosen = ready[order[0]]
        self.pending.remove(chosen)
        worker.group = self._groups[chosen]
        return chosen

    def _share(self) -> Share | None:
        wanted = {self._groups[cell] for cell in self.pending}
        for group, waiting in self._waiting.items():
            if waiting.open and group in wanted:
                return waiting.open.pop(0)
        return None


@contextmanager
def _crew(setup: Setup, jobs: int, makers: int) -> Iterator[list[Worker]]:
    """Processes that wait for work, and ``makers`` more that keep off the GPU; stopped at the end,
    whatever they are at."""
    context = multiprocessing.get_context("spawn")
    workers: list[Worker] = []
    before = {name: os.environ.get(name) for name in LIMITS}
    try:
        # Libraries read these when they are first loaded.
        os.environ.update(dict.fromkeys(LIMITS, str(setup.threads)))
        with _terminated():
            for number in range(jobs + makers):
                maker = number >= jobs
                own = replace(setup, device="cpu", threads=1) if maker else setup
                ours, theirs = context.Pipe()
                process = context.Process(target=work, args=(own, theirs), daemon=True)
                process.start()
                theirs.close()
                workers.append(Worker(process, ours, maker))
            yield workers
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        for worker in workers:
            worker.pipe.close()
            worker.process.terminate()
        for worker in workers:
            worker.process.join(5)
            if worker.process.is_alive():
                worker.process.kill()


@contextmanager
def _terminated() -> Iterator[None]:
    """Let a termination end the block as an interruption does, so that nothing is left running."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def work(setup: Setup, pipe: Connection) -> None:
    """What a process does: one run, or one share of a set's images, after the other."""
    import cv2
    import torch

    from unseg.evaluate.processes import Processes

    _end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent stops its processes.
    torch.set_num_threads(setup.threads)
    cv2.setNumThreads(setup.threads)
    processes = Processes(setup.mixed_precision, setup.device)
    runner = Runner([], ResultStore(setup.folder), setup.options, processes, setup.tasks)
    while True:
        try:
            asked = pipe.recv()
        except EOFError:
            return
        pipe.send(answered(runner, asked))


def answered(runner: Runner, asked: Cell | Share) -> Answer:
    """Do what is asked; a fault is part of the answer."""
    cell = asked.cell if isinstance(asked, Share) else asked
    failed = runner.failed
    try:
        job = runner.survey(cell)
        if job.stored is not None or job.reason:
            return Answer(job.stored, job.reason)
        if isinstance(asked, Share):
            runner.share(cell, asked.rank, asked.count)
            return Answer()
        result, reason = runner.run_cell(cell, lambda cell, share: None)
    except UnsegError as error:
        return Answer(None, str(error), 1)
    except Exception as error:
        return Answer(None, f"failed: {type(error).__name__}: {error}", 1)
    return Answer(result, reason, runner.failed - failed)


def _end_with_parent() -> None:
    """End when the parent is gone, however it went."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
