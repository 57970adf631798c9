"""What there is to evaluate: ``unseg evaluate --list``."""

from __future__ import annotations

import json
from typing import Any

import typer


def echo_registries(as_json: bool) -> None:
    """Print the names of all tasks, victims, conditions, defences and suites.

    Args:
        as_json: names alone, as lists; else a line of text for each.
    """
    from unseg.evaluate.conditions import BASELINES, GENERATED, WITHOUT_MASKS, Unseg
    from unseg.evaluate.defences import DEFENCES
    from unseg.evaluate.suites import SUITES
    from unseg.evaluate.tasks import TASKS
    from unseg.evaluate.victims import VICTIMS

    conditions = {**BASELINES, **dict.fromkeys(GENERATED, Unseg), **WITHOUT_MASKS}
    found: dict[str, dict[str, Any]] = {
        "tasks": TASKS,
        "victims": VICTIMS,
        "conditions": conditions,
        "defences": DEFENCES,
        "suites": SUITES,
    }
    if as_json:
        typer.echo(json.dumps({kind: list(things) for kind, things in found.items()}))
        return
    for kind, things in found.items():
        typer.echo(kind)
        for name, thing in things.items():
            # What is no class or plan is a function without arguments that makes one.
            known = thing if hasattr(thing, "summary") else thing()
            note = ""
            if kind == "tasks":
                note = f" ({known.metric}, floor {known.floor:g})"
            elif kind == "defences" and known is not thing:
                note = "".join(f", {key} {value}" for key, value in known.settings().items())
            typer.echo(f"  {name:<20} {known.summary}{note}")
