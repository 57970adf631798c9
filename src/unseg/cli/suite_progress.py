"""What a suite shows on the terminal."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from unseg.evaluate.results import Result
    from unseg.evaluate.runner import Runner, Step
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


def watch(runner: Runner, limit_minutes: float | None) -> tuple[list[Result], dict[str, str]]:
    """Run with a bar and, after every run, a line that also suits a log file.

    Under ``accelerate launch`` only the first process speaks.

    Args:
        runner: what to run.
        limit_minutes: no new run is started after so long.

    Returns:
        The results, and why cells were skipped: one cell for each reason.
    """
    console = Console(stderr=True, quiet=int(os.environ.get("RANK", "0")) > 0)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    total = len(runner.entries)
    results: list[Result] = []
    skipped: dict[str, str] = {}
    done = 0
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        watched = bar.add_task("", total=total)

        def progress(cell: Cell, share: float) -> None:
            bar.update(watched, description=str(cell), completed=done + share)

        limit = float("inf") if limit_minutes is None else 60 * limit_minutes
        for step in runner.run(progress, limit):
            done = step.done
            bar.update(watched, completed=done)
            if step.result is not None:
                results.append(step.result)
            elif step.reason in skipped:
                continue
            else:
                skipped[step.reason] = str(step.cell)
            console.print(_line(step), highlight=False, soft_wrap=True, markup=False)
    if done < total:
        left = sum(runner.seconds(entry) for entry in runner.entries[done:])
        console.print(
            f"stopped after {limit_minutes:g} min as asked: about {duration(left)} left; the same "
            "command continues",
            highlight=False,
        )
    return results, skipped


def preview(runner: Runner) -> Iterator[str]:
    """Lines that say what would run and how long it would take."""
    known = 0
    for entry in runner.entries:
        if entry.stored:
            state = "there"
        elif entry.reason:
            state = f"cannot run: {entry.reason}"
        else:
            known += runner.estimate.known(entry.cell)
            state = f"about {duration(runner.seconds(entry))}"
        yield f"{entry.cell}: {state}"
    waiting = sum(1 for entry in runner.entries if not entry.stored and not entry.reason)
    total = sum(runner.seconds(entry) for entry in runner.entries)
    yield (
        f"{len(runner.entries)} runs, {waiting} to be made in about {duration(total)} "
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
