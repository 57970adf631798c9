"""From names to objects: tasks, victims, conditions and defences, and where their data lies."""

from __future__ import annotations

from pathlib import Path

from unseg.errors import UnsegError
from unseg.evaluate.defences import DEFENCES, Defence
from unseg.evaluate.defences.learned import Restoring
from unseg.evaluate.settings import build
from unseg.evaluate.suites.base import Recipe
from unseg.evaluate.tasks import TASKS, Task
from unseg.evaluate.victims import VICTIMS, Victim


def build_task(name: str) -> Task:
    """A task by name."""
    return build(TASKS, name)


def build_victim(recipe: Recipe) -> Victim:
    """A victim with the recipe's settings."""
    return build(VICTIMS, recipe.name, **dict(recipe.settings))


def build_defence(name: str, clean_images: Path | None = None) -> Defence:
    """A defence by name.

    Args:
        name: in ``DEFENCES``, or ``module:Name``.
        clean_images: folder of clean photographs for defences that learn from some.
    """
    factory = DEFENCES.load(name)
    learns = isinstance(factory, type) and issubclass(factory, Restoring)
    return build(DEFENCES, name, **({"clean": clean_images} if learns else {}))


def first_victim(task: Task) -> str:
    """The first victim in the registry that can answer a task."""
    return next(name for name in VICTIMS if task.problem.kind in VICTIMS.load(name).kinds)


def require_kind(task: Task, victim: Victim) -> None:
    """Refuse a victim that cannot answer a task.

    Raises:
        UnsegError: naming what it can answer.
    """
    if task.problem.kind not in victim.kinds:
        raise UnsegError(
            f"{victim.name} cannot do the task {task.name}, whose kind is {task.problem.kind}: it "
            f"does {', '.join(sorted(victim.kinds))}"
        )


def data_folder(task: Task, data: Path) -> Path:
    """Where a task's data lies: below ``data``, or ``data`` itself."""
    below = data / task.folder
    return below if below.is_dir() else data
