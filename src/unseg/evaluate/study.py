"""Everything that ``unseg evaluate`` does, for programs: from options to results."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from unseg.errors import UnsegError
from unseg.evaluate.bench import CACHE
from unseg.evaluate.jobs import run_jobs
from unseg.evaluate.pictures import Pictures
from unseg.evaluate.processes import Device, Processes
from unseg.evaluate.results import Result, ResultStore
from unseg.evaluate.runner import Options, Runner, Step
from unseg.evaluate.selection import Selection, shard
from unseg.evaluate.suites import SUITES
from unseg.evaluate.suites.base import Cell, Suite
from unseg.evaluate.tasks import Part, Task
from unseg.evaluate.tasks.folder import FolderTask

QUICK = {"steps": 200, "size": 160, "crop": 96}
"""Schedule of the default victim on one's own images: a few minutes, and most sets are learned."""
CLEAN_IMAGES = Path("corpus") / "ccp"
"""Below the data: clean photographs for defences that learn, where none are named."""


@dataclass(frozen=True)
class OwnImages:
    """A folder of one's own images with masks, as a task (:class:`FolderTask`).

    Args:
        images: folder of the images.
        masks: folder of the masks, with the images' names.
        split_seed: decides with the names which images test.
        test_share: of the images that are tested on.
        class_names: of the values in the masks, in their order.
    """

    images: Path
    masks: Path
    split_seed: int = 0
    test_share: float = 0.25
    class_names: Sequence[str] = ()

    def task(self) -> FolderTask:
        """The task."""
        return FolderTask(
            images=self.images, masks=self.masks, split_seed=self.split_seed,
            test_share=self.test_share, class_names=self.class_names,
        )  # fmt: skip


@dataclass(frozen=True)
class Study:
    """What to evaluate, and how.

    Args:
        selection: names of what is measured.
        suite: a table's runs, of which the selection keeps some.
        own: one's own images, as the only task.
        victim_settings: constructor arguments of the victims.
        part: which images to test on.
        shard: ``1/2`` is the first half of the runs.
        data: a data set's folder, or the root that holds several; None with ``own`` or a suite
            that makes its own.
        out: folder of results; None with a suite that makes its own data.
        model: generator of the conditions that need one.
        clean_images: folder of clean photographs for defences that learn; by default
            ``corpus/ccp`` below ``data``, where it exists.
        cache: folder for published images of sets that do not fit in memory.
        pictures: whose answers are stored as pictures.
        mixed_precision: ``auto``, ``no``, ``fp16`` or ``bf16``.
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: of torch, on the CPU.
        jobs: runs at once, each in a process of its own; more than one share the CPU's cores.
        stored: run nothing: only what ``out`` holds.
    """

    selection: Selection = field(default_factory=Selection)
    suite: str | None = None
    own: OwnImages | None = None
    victim_settings: Mapping[str, Any] = field(default_factory=dict)
    part: Part = "test"
    shard: str | None = None
    data: Path | None = None
    out: Path | None = None
    model: str = "default"
    clean_images: Path | None = None
    cache: Path = CACHE
    pictures: Pictures = "allowed"
    mixed_precision: str = "auto"
    device: Device = "auto"
    threads: int = 1
    jobs: int = 1
    stored: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of a study.

    Args:
        results: of the runs, in order.
        skipped: why cells were skipped: one cell for each reason.
        failed: how many ended with a fault.
        left: estimated seconds of the runs that the time limit left out.
        complete: whether no run was left out.
        tasks: by name.
        first: whether this process is the one that speaks.
    """

    results: list[Result]
    skipped: dict[str, str]
    failed: int
    left: float
    complete: bool
    tasks: Mapping[str, Task]
    first: bool


def evaluate(
    study: Study,
    *,
    on_step: Callable[[Step], None] = lambda step: None,
    progress: Callable[[Cell, float], None] = lambda cell, share: None,
    limit: float = float("inf"),
) -> Outcome:
    """Run a study; results that are there already are taken from its folder.

    Args:
        study: what to evaluate.
        on_step: called after every run.
        progress: called with the share of a run's training that is done.
        limit: seconds after which no new run is started.

    Raises:
        UnsegError: when the study does not make sense, or nothing could run.
    """
    with opened(study) as runner:
        return run_all(runner, on_step=on_step, progress=progress, limit=limit, jobs=study.jobs)


def run_all(
    runner: Runner,
    *,
    on_step: Callable[[Step], None] = lambda step: None,
    progress: Callable[[Cell, float], None] = lambda cell, share: None,
    limit: float = float("inf"),
    jobs: int = 1,
) -> Outcome:
    """Run an opened study; arguments and errors are those of :func:`evaluate`.

    With several ``jobs``, ``progress`` is not called and cells end in any order.
    """
    results: list[Result] = []
    skipped: dict[str, str] = {}
    left = {job.cell: job for job in runner.surveyed}
    for step in runner.run(progress, limit) if jobs == 1 else run_jobs(runner, jobs, limit):
        del left[step.cell]
        if step.result is not None:
            results.append(step.result)
        else:
            skipped.setdefault(step.reason, str(step.cell))
        on_step(step)
    if not results and skipped:
        raise UnsegError(
            "nothing ran: " + "; ".join(f"{cell}: {reason}" for reason, cell in skipped.items())
        )
    return Outcome(
        results, skipped, runner.failed, sum(map(runner.seconds, left.values())), not left,
        {task.name: task for task in runner.tasks.values()}, runner.processes.first,
    )  # fmt: skip


@contextmanager
def opened(study: Study) -> Iterator[Runner]:
    """A study whose runs are built and whose results have been looked up; nothing has run yet.

    Raises:
        UnsegError: when the study does not make sense.
    """
    import torch

    if study.threads < 1:
        raise UnsegError(f"--threads {study.threads}: expected at least 1")
    if study.jobs < 1:
        raise UnsegError(f"--jobs {study.jobs}: expected at least 1")
    suite = _suite(study.suite)
    with tempfile.TemporaryDirectory(prefix="unseg-") as scratch:
        cells = _cells(study, suite)
        data, out = study.data, study.out
        if suite is not None and suite.data is not None:
            data = Path(scratch) / "data"
            suite.data(data)
            out = out or Path(scratch) / "results"
        if study.own is not None:
            data = data or study.own.images
        if not (cells or study.shard) or out is None or data is None:
            raise UnsegError(
                "evaluate needs a task, --data and -o, for example: "
                "unseg evaluate --task person --data data/pennfudan -o results"
            )
        if study.clean_images is not None and not study.clean_images.is_dir():
            raise UnsegError(f"--clean-images {study.clean_images} is not a folder")
        torch.set_num_threads(study.threads)
        alone = suite is None and len({(cell.task, cell.victim) for cell in cells}) == 1
        options = Options(
            data, study.model, alone, study.pictures,
            suite.minutes if suite else Options.minutes, study.cache, _clean_images(study, data),
        )  # fmt: skip
        processes = Processes(study.mixed_precision, study.device)
        tasks = {FolderTask.name: study.own.task()} if study.own else {}
        runner = Runner(cells, ResultStore(out), options, processes, tasks)
        if study.stored:
            runner.surveyed = [job for job in runner.surveyed if job.stored]
            if not runner.surveyed:
                raise UnsegError(f"{out} holds none of these runs: leave out --stored to make them")
        yield runner


def require_writable(out: Path, cache: Path, table: Path | None = None) -> None:
    """Refuse, before hours of work, what cannot be written after it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        raise UnsegError(f"-o {out} cannot be written: {error}") from error
    for option, folder in (("--cache", cache), ("--table", table.parent if table else out)):
        there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
        if not there.is_dir():
            raise UnsegError(f"{option}: {there} is not a folder")
    if table is not None and table.is_dir():
        raise UnsegError(f"--table {table} is a folder: give a file")


def _suite(name: str | None) -> Suite | None:
    if name is None:
        return None
    if name not in SUITES:
        raise UnsegError(f"--suite {name} is not known: choose from {', '.join(SUITES)}")
    return SUITES[name]


def _cells(study: Study, suite: Suite | None) -> list[Cell]:
    selection, settings = study.selection, dict(study.victim_settings)
    if study.own is not None:
        if suite is not None or selection.tasks:
            raise UnsegError("--images is itself the task: leave out --task and --suite")
        # Four trainings are what an owner waits for; more seeds are asked for.
        selection = replace(selection, tasks=[FolderTask.name], seeds=selection.seeds or [0])
        settings = {**(QUICK if not selection.victims else {}), **settings}
    if suite is None:
        cells = selection.grid(settings, study.part)
    else:
        steps = settings.pop("steps", None)
        if settings:
            raise UnsegError(
                f"--suite {suite.name} sets its victims itself, but for --steps: leave out "
                "--victim-set and --size"
            )
        if study.part != "test":
            raise UnsegError(f"--suite {suite.name} reports on the test part: leave out --part")
        cells = selection.of(suite)
        if steps is not None:
            cells = [cell.lasting(steps) for cell in cells]
    if study.shard is not None and cells:
        cells = shard(cells, study.shard)
    return cells


def _clean_images(study: Study, data: Path) -> Path | None:
    if study.clean_images is not None:
        return study.clean_images
    below = data / CLEAN_IMAGES
    return below if below.is_dir() else None
