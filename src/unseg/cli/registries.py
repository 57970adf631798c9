"""What there is to evaluate: ``unseg evaluate --list``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import typer

from unseg.registry import Registry, Spec


def echo_registries(as_json: bool) -> None:
    """Print the names of all tasks, victims, conditions, defences and suites.

    Args:
        as_json: names alone, as lists; else a line of text for each.
    """
    from unseg.evaluate.conditions import CONDITIONS
    from unseg.evaluate.defences import DEFENCES
    from unseg.evaluate.suites import SUITES
    from unseg.evaluate.tasks import TASKS
    from unseg.evaluate.victims import VICTIMS

    found: dict[str, Mapping[str, Any]] = {
        "tasks": TASKS,
        "victims": VICTIMS,
        "conditions": CONDITIONS,
        "defences": DEFENCES,
        "suites": SUITES,
    }
    if as_json:
        typer.echo(json.dumps({kind: list(things) for kind, things in found.items()}))
        return
    for kind, things in found.items():
        typer.echo(kind)
        for name, thing in things.items():
            known = things.load(name) if isinstance(things, Registry) else thing
            note = ""
            if kind == "tasks":
                note = f" ({known.metric}, floor {known.floor:g})"
            elif isinstance(thing, Spec):
                note = "".join(f", {key} {value}" for key, value in thing.settings.items())
            typer.echo(f"  {name:<20} {known.summary}{note}")
