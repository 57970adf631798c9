"""What protection does on one's own images, in one sentence."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from unseg.evaluate.results import Result
from unseg.evaluate.runner import Step
from unseg.evaluate.selection import Selection
from unseg.evaluate.study import OwnImages, Study, evaluate
from unseg.evaluate.suites.base import Cell
from unseg.evaluate.tasks import Task

VICTIMS = {"unet": "A U-Net"}
"""Names that a sentence begins with."""


@dataclass(frozen=True)
class SelfTest:
    """Answer to :func:`selftest`.

    Args:
        sentence: what to tell the owner.
        clean: the figure after training on the clean images.
        protected: that after training on the protected ones.
        results: all runs.
    """

    sentence: str
    clean: float
    protected: float
    results: tuple[Result, ...]


def selftest(
    images: Path,
    masks: Path,
    *,
    condition: str = "unseg",
    model: str = "default",
    out: Path | None = None,
    eps: float | None = None,
    eps_bg: float | None = None,
    seed: int = 0,
    steps: int | None = None,
    cpu: bool = False,
    on_step: Callable[[Step], None] = lambda step: None,
    progress: Callable[[Cell, float], None] = lambda cell, share: None,
) -> SelfTest:
    """Train a small U-Net on an owner's clean images and on the protected ones.

    Args:
        images: folder of the images, at least four of them with a mask.
        masks: folder of the masks or label maps, with the images' names.
        condition: how the images are protected.
        model: the generator, a name or a .safetensors file.
        out: folder of results, where a repeated call finds them; by default none is kept.
        eps: largest change inside the mask, in 8-bit steps; by default that of ``unseg protect``.
        eps_bg: largest change outside it.
        seed: decides which images test, and the victim's start.
        steps: of the training, if not the usual number.
        cpu: keep off any GPU.
        on_step: called after each of the two trainings.
        progress: called with the share of a training that is done.

    Raises:
        UnsegError: when there are too few images, sizes differ, or a mask cannot be read.
    """
    selection = Selection(conditions=["clean", condition], seeds=[seed], eps=eps, eps_bg=eps_bg)
    with tempfile.TemporaryDirectory(prefix="unseg-selftest-") as scratch:
        study = Study(
            selection, own=OwnImages(images, masks, seed), model=model,
            victim_settings={} if steps is None else {"steps": steps},
            out=out or Path(scratch) / "results", cache=Path(scratch) / "cache",
            device="cpu" if cpu else "auto",
            pictures="none",
        )  # fmt: skip
        outcome = evaluate(study, on_step=on_step, progress=progress)
    clean, protected = outcome.results
    task = outcome.tasks[clean.named("task")]
    sentence = plain(outcome.results, task, condition)
    return SelfTest(sentence, clean.value, protected.value, tuple(outcome.results))


def plain(results: Sequence[Result], task: Task, condition: str = "unseg") -> str:
    """What protection does on the owner's data, in a sentence; empty where it did not run.

    Of several victims or seeds, only the first is reported.

    Args:
        results: of one task, clean and protected.
        task: theirs.
        condition: how the images are protected; its name may go on, as that of ``unseg-class``.
    """
    clean = _first(results, lambda name: name == "clean")
    ours = _first(results, lambda name: name.startswith(condition))
    if clean is None or ours is None:
        return ""
    victim = VICTIMS.get(clean.named("victim"), f"The victim {clean.named('victim')}")
    figure = _figure(task)
    if clean.value < task.floor:
        return (
            f"{victim} trained on your clean images reaches only {figure} {clean.value:.2f}, which "
            f"is below {task.floor:.2f}: it learns too little from them to say anything about "
            "protection. Give more images or train longer (unseg evaluate --steps)."
        )
    return (
        f"{victim} trained on your clean images reaches {figure} {clean.value:.2f}; trained on the "
        f"protected ones {ours.value:.2f} ({ours.value / clean.value:.0%})."
    )


def _first(results: Sequence[Result], wanted: Callable[[str], bool]) -> Result | None:
    """The first result without a defence under a condition."""
    undefended = (r for r in results if r.config["defence"]["label"] == "none")
    return next((r for r in undefended if wanted(r.named("condition"))), None)


def _figure(task: Task) -> str:
    return (
        "IoU" if task.problem.binary else f"a mean IoU over {len(task.problem.classes)} classes of"
    )
