"""``unseg protect --selftest``: what protection does on the owner's own images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unseg.errors import UnsegError
from unseg.extras import require

if TYPE_CHECKING:
    from unseg.protect.settings import Settings


def check_selftest(inputs: Sequence[Path], masks: Path | None, settings: Settings) -> str:
    """The evaluation's condition that protects as these settings do.

    Raises:
        UnsegError: before anything slow, when there is none, or nothing to learn from.
    """
    require("eval", "--selftest")
    from unseg.evaluate.conditions import CONDITIONS
    from unseg.masks.annotations.detect import are_annotations
    from unseg.protect.noises import TINTED_NOISES
    from unseg.protect.settings import Settings as Defaults

    if masks is None or len(inputs) != 1 or not inputs[0].is_dir():
        raise UnsegError(
            "--selftest needs one folder of images and --masks: a model learns from both"
        )
    if not masks.is_dir() or are_annotations(masks):
        raise UnsegError(
            f"--selftest needs a folder of mask images, and --masks {masks} is none: draw some "
            "with unseg masks --boxes, or leave --selftest out"
        )
    usual = Defaults()
    for name in ("classes", "void", "background", "silent"):
        if getattr(settings, name) != getattr(usual, name):
            raise UnsegError(
                f"--selftest has no --{name}: use unseg evaluate --images {inputs[0]} --masks "
                f"{masks}, or leave --{name} out"
            )
    words = ["unseg"]
    words += [settings.target] if settings.target != "union" else []
    words += [settings.visibility] if settings.visibility != usual.visibility else []
    words += ["tint"] if settings.noises == TINTED_NOISES else []
    condition = "-".join(words)
    if condition not in CONDITIONS:
        raise UnsegError(
            f"--selftest cannot measure {condition}: of --target, --visibility and --tint give one"
        )
    return condition


def run_selftest(images: Path, masks: Path, settings: Settings, condition: str) -> str:
    """Train a small victim on the clean and the protected images; the finding in a sentence."""
    from rich.console import Console
    from rich.progress import Progress

    from unseg.evaluate.selftest import selftest

    with Progress(console=Console(stderr=True)) as bar:
        tasks = {
            name: bar.add_task(f"training on {name} images") for name in ("clean", "protected")
        }
        found = selftest(
            images, masks, condition=condition, model=settings.model,
            eps=settings.budget.foreground, eps_bg=settings.budget.background,
            cpu=settings.device == "cpu",
            progress=lambda cell, share: bar.update(
                tasks["clean" if cell.condition == "clean" else "protected"], completed=100 * share
            ),
        )  # fmt: skip
    return found.sentence
