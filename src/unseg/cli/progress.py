"""What a training shows on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from unseg.train.bilevel import Trainer

#: Where the output is no terminal (a log file), a line is printed every so many steps.
PLAIN_EVERY = 50


@contextmanager
def training_progress(
    trainer: Trainer, total: int
) -> Iterator[Callable[[int, str, dict[str, float]], None]]:
    """A bar with ETA and the newest figures; plain lines when the output is a file.

    Args:
        trainer: the run; only its main process shows anything.
        total: steps at the end.
    """
    main = trainer.accelerator.is_main_process
    console = Console(quiet=not main)
    config = trainer.config
    console.print(
        f"{len(trainer.training)} training and {len(trainer.validation)} validation images, "
        f"{trainer.accelerator.num_processes} process(es) on {trainer.device}, "
        f"{total} steps, seed {config.seed}"
    )
    bar = _bar(console, shown=main)
    with bar:
        task = bar.add_task("train", total=total, note="")

        def report(step: int, phase: str, figures: dict[str, float]) -> None:
            shown = " ".join(f"{name} {value:.3f}" for name, value in figures.items())
            if phase == "collapse":
                console.print(
                    f"step {step}: the noise has collapsed to a constant shift "
                    f"(noise_std {figures['noise_std']:.4f}), which protects nothing: raise "
                    "local_norm or lower generator_lr"
                )
            elif phase == "validation":
                console.print(f"step {step} validation: {shown}", highlight=False)
            else:
                bar.update(task, completed=step, note=f"{phase} {shown}")
                if not console.is_terminal and step % PLAIN_EVERY == 0:
                    console.print(f"step {step}/{total} {phase}: {shown}", highlight=False)

        yield report


@contextmanager
def stages_progress() -> Iterator[Callable[[str, int, int, dict[str, float]], None]]:
    """A bar for each stage of a job, one after the other; plain lines when the output is a file."""
    console = Console()
    with _bar(console) as bar:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, done: int, total: int, figures: dict[str, float]) -> None:
            shown = " ".join(f"{name} {value:.3f}" for name, value in figures.items())
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total, note="")
            bar.update(tasks[stage], completed=done, note=shown)
            if not console.is_terminal and (done % PLAIN_EVERY == 0 or done == total):
                console.print(f"{stage} {done}/{total} {shown}", highlight=False)

        yield report


def _bar(console: Console, *, shown: bool = True) -> Progress:
    columns = (
        TextColumn("[bold]{task.description}"), BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )  # fmt: skip
    return Progress(*columns, console=console, disable=not (shown and console.is_terminal))
