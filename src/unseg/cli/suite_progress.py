"""What a suite shows on the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from unseg.evaluate.runner import Runner, Step
    from unseg.evaluate.study import Outcome
    from unseg.evaluate.suites import Cell


def duration(seconds: float) -> str:
    """A time to be read.

    Example:
        >>> duration(12), duration(200), duration(20000)
        ('12 s', '3 min', '5.6 h')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} h"


def watch(runner: Runner, limit_minutes: float | None, jobs: int = 1) -> Outcome:
    """Run with a bar and, after every run, a line that also suits a log file.

    Under ``accelerate launch`` only the first process speaks.

    Args:
        runner: what to run.
        limit_minutes: no new run is started after so long.
        jobs: runs at once.
    """
    from unseg.evaluate.study import run_all

    console = Console(stderr=True, quiet=not runner.processes.first)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    done, told = 0, set[str]()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        watched = bar.add_task("", total=len(runner.surveyed))

        def progress(cell: Cell, share: float) -> None:
            bar.update(watched, description=str(cell), completed=done + share)

        def on_step(step: Step) -> None:
            nonlocal done
            done = step.done
            bar.update(watched, completed=done)
            if step.result is None and step.reason in told:
                return
            told.add(step.reason)
            console.print(_line(step), highlight=False, soft_wrap=True, markup=False)

        limit = float("inf") if limit_minutes is None else 60 * limit_minutes
        outcome = run_all(runner, on_step=on_step, progress=progress, limit=limit, jobs=jobs)
    if not outcome.complete:
        console.print(
            f"stopped after {limit_minutes:g} min as asked, with about {duration(outcome.left)} "
            "left; the same command continues",
            highlight=False,
        )
    return outcome


def preview(runner: Runner) -> Iterator[str]:
    """Lines that say what would run and how long it would take."""
    known = 0
    for job in runner.surveyed:
        if job.stored:
            state = "there"
        elif job.reason:
            state = f"cannot run: {job.reason}"
        else:
            known += runner.estimate.known(job.cell)
            state = f"about {duration(runner.seconds(job))}"
        yield f"{job.cell}: {state}"
    waiting = sum(1 for job in runner.surveyed if not job.stored and not job.reason)
    total = sum(runner.seconds(job) for job in runner.surveyed)
    yield (
        f"{len(runner.surveyed)} runs, {waiting} to be made in about {duration(total)} "
        f"({known} timed by runs of their task, {waiting - known} assumed at "
        f"{runner.options.minutes:g} min)"
    )


def _line(step: Step) -> str:
    start = f"{step.done}/{step.total} {step.cell}: "
    if step.result is None:
        return f"{start}skipped, {step.reason}"
    spent = "already there" if step.reused else duration(sum(step.result.seconds.values()))
    left = f", about {step.remaining / 60:.0f} min left" if step.remaining else ""
    return f"{start}{step.result.metric} {step.result.value:.3f} ({spent}{left})"
