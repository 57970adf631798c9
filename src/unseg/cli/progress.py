"""What a training run shows on the terminal: a bar, or lines where the output is a file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

Report = Callable[[str, int, int, Mapping[str, float]], None]
"""Told the phase, how many of how many steps are done, and figures."""

PLAIN_EVERY = 50
"""Where the output is not a terminal (a log file), a line is printed every so many steps."""

SHOWN = ("loss", "iou")
"""Figures of a step that the bar has room for; the log holds all."""

STAGES = {"features": "features", "surrogate": "steps", "generator": "steps", "head": "steps"}
"""The bar that a phase moves; what is not named here is printed above it."""


class Eta:
    """How long the rest takes, from how long it took so far.

    Args:
        clock: seconds that go on.

    Example:
        >>> clock = iter([0.0, 10.0])
        >>> eta = Eta(lambda: next(clock))
        >>> eta.text(100, 200), eta.text(120, 200)
        ('-:--', '0:40')
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start: tuple[float, int] | None = None

    def text(self, done: int, total: int) -> str:
        """Hours, minutes and seconds that are left; the first call starts the clock."""
        now = self._clock()
        if self._start is None:
            self._start = now, done
        began, first = self._start
        if done == first:
            return "-:--" if done < total else "0:00"
        seconds = round((now - began) / (done - first) * (total - done))
        hours, minutes = divmod(seconds // 60, 60)
        clock = f"{minutes:02}:{seconds % 60:02}" if hours else f"{minutes}:{seconds % 60:02}"
        return f"{hours}:{clock}" if hours else clock


@contextmanager
def training_progress(console: Console) -> Iterator[Report]:
    """A bar with the newest figures and the time that is left; lines where there is no terminal.

    Args:
        console: where to print; a quiet one shows nothing.

    Yields:
        What a trainer reports to.
    """
    columns = (
        TextColumn("{task.description}"), BarColumn(bar_width=12), MofNCompleteColumn(),
        TextColumn("ETA {task.fields[eta]}"), TextColumn("{task.fields[note]}"),
    )  # fmt: skip
    hidden = console.quiet or not console.is_terminal
    with Progress(*columns, console=console, disable=hidden) as bar:
        tasks: dict[str, TaskID] = {}
        etas: dict[str, Eta] = {}

        def report(phase: str, done: int, total: int, figures: Mapping[str, float]) -> None:
            if phase == "collapse":
                console.print(
                    f"step {done}: the noise has collapsed to a constant shift (noise_std "
                    f"{figures['noise_std']:.4f}), which protects nothing; this state does not "
                    "become best.safetensors. Raise models.local_norm, or lower "
                    "optimisation.generator_learning_rate.",
                    highlight=False,
                )
                return
            if phase == "validation":
                console.print(f"step {done}/{total} validation {validated(figures)}",
                              highlight=False)  # fmt: skip
                return
            stage = STAGES[phase]
            if stage not in tasks:
                tasks[stage] = bar.add_task("", total=total, eta="-:--", note="")
                etas[stage] = Eta()
            shown = " ".join(f"{k} {figures[k]:.3f}" for k in SHOWN if k in figures)
            left = etas[stage].text(done, total)
            bar.update(tasks[stage], completed=done, description=phase, eta=left, note=shown)
            if not console.is_terminal and (done % PLAIN_EVERY == 0 or done == total):
                words = ("step" if stage == "steps" else stage, f"{done}/{total}",
                         phase if stage == "steps" else "", shown, f"ETA {left}")  # fmt: skip
                console.print(" ".join(word for word in words if word), highlight=False)

        yield report


def validated(figures: Mapping[str, float]) -> str:
    """Figures of a validation in a line of at most 80 columns."""
    names = {"iou_protected": "protected", "iou_clean": "clean", "gap": "gap", "iou": "iou"}
    return " ".join(
        f"{text} {figures[name]:.3f}" for name, text in names.items() if name in figures
    )
