"""From names to objects: tasks, victims and where their data lies."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from unseg.errors import UnsegError
from unseg.evaluate.suites.base import Recipe
from unseg.evaluate.tasks import TASKS, Task
from unseg.evaluate.victims import VICTIMS, Victim
from unseg.provenance import sha256_file


def check(option: str, name: str, known: Collection[str]) -> None:
    """Refuse a name that is not there.

    Raises:
        UnsegError: naming the option and what there is.
    """
    if name not in known:
        raise UnsegError(
            f"{option}: {name or 'nothing given'} is not known here; choose from {', '.join(known)}"
        )


def build_task(name: str) -> Task:
    """A task by name."""
    check("TASK", name, TASKS)
    return TASKS[name]()


def build_victim(recipe: Recipe) -> Victim:
    """A victim by name, or one of the user's own as ``module:Name``.

    The module is looked up where Python looks, and in the current folder. ``Name`` is a class or
    a function that returns a :class:`Victim`; the recipe's settings are its keyword arguments.

    Raises:
        UnsegError: when there is no such thing, or it does not take such settings.
    """
    factory: Any
    own = ":" in recipe.name
    if own:
        factory = _imported(recipe.name)
    else:
        check("--victim", recipe.name, VICTIMS)
        factory = VICTIMS[recipe.name]
    try:
        victim = factory(**dict(recipe.settings))
    except UnsegError:
        raise
    except Exception as error:  # of a user's own victim it may be any
        given = ", ".join(f"{name}={value!r}" for name, value in recipe.settings) or "no settings"
        raise UnsegError(
            f"{recipe.name} cannot be made with {given} ({error}): it has "
            f"{_settings(factory) or 'no settings that are known without it'}"
        ) from error
    if not isinstance(victim, Victim):
        raise UnsegError(
            f"--victim {recipe.name} gave a {type(victim).__name__}: expected a class derived from "
            "unseg.evaluate.victims.Victim, or a function that returns one"
        )
    if own:
        if getattr(victim, "name", "") in ("", *VICTIMS):
            raise UnsegError(
                f"--victim {recipe.name}: give {type(victim).__name__} a `name` of its own, by "
                "which its results are found again"
            )
        victim.origin = _origin(recipe.name)
    return victim


def first_victim(task: Task) -> str:
    """The first victim in the registry that can answer a task."""
    fitting = (name for name in VICTIMS if task.problem.kind in build_victim(Recipe(name)).kinds)
    return next(fitting)


def require_kind(task: Task, victim: Victim) -> None:
    """Refuse a victim that cannot answer a task.

    Raises:
        UnsegError: naming what it can answer.
    """
    if task.problem.kind not in victim.kinds:
        raise UnsegError(
            f"{victim.name} cannot be asked {task.name}, whose kind is {task.problem.kind}: it "
            f"answers {', '.join(sorted(victim.kinds))}"
        )


def data_folder(task: Task, data: Path) -> Path:
    """Where a task's data lies: below ``data``, or ``data`` itself."""
    below = data / task.folder
    return below if below.is_dir() else data


def _imported(name: str) -> Any:
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise UnsegError(f"--victim {name}: expected module:Name, such as my_victims:Mine")
    # An installed command does not look in the current folder by itself, unlike ``python -m``.
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return getattr(importlib.import_module(module), attribute)
    except AttributeError as error:
        raise UnsegError(f"--victim {name}: {module} has no {attribute!r} ({error})") from error
    except Exception as error:  # whatever the user's file does while it is read
        raise UnsegError(
            f"--victim {name}: {module} cannot be imported ({type(error).__name__}: {error}); it "
            "must be installed or lie in the current folder"
        ) from error


def _origin(name: str) -> dict[str, str]:
    """What tells a user's own victim from another of the same name: where it is, and its file."""
    file = getattr(sys.modules[name.partition(":")[0]], "__file__", None)
    return {"origin": name, **({"sha256": sha256_file(Path(file))} if file else {})}


def _settings(factory: Any) -> str:
    try:
        return ", ".join(factory().settings())
    except Exception:  # A victim that needs an argument cannot be asked.
        return ""
