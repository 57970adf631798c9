"""The suite `real` for streets and people on one GPU: larger crops and ten times the steps.

``scripts/gpu.sh`` runs it within minutes. The most telling runs come first, as it may be stopped.
"""

from __future__ import annotations

from typing import Any

from unseg.evaluate.suites.base import Grid, Recipe, Suite
from unseg.evaluate.suites.real import SCHEDULES, ours

TASKS = ("semantic", "person")
LARGE: dict[str, Any] = {"size": 512, "crop": 384}
LONGER = 10
"""Times the steps of ``real``."""


def enlarged(recipe: Recipe) -> Recipe:
    """A recipe at 512 pixels and with ten times the steps."""
    settings = dict(recipe.settings)
    return Recipe.of(recipe.name, **{**settings, **LARGE, "steps": LONGER * settings["steps"]})


def _grids(*seeds: int) -> list[Grid]:
    # DeepLabV3, which both tasks have, before the others.
    pairs = [(task, recipe) for task in TASKS for recipe in SCHEDULES[task]]
    pairs.sort(key=lambda pair: pair[1].name != "deeplabv3")
    return [
        Grid("gpu", [task], [enlarged(recipe)], ("clean", "stripes", ours(task)), seeds=seeds)
        for task, recipe in pairs
    ]


GPU = Suite(
    name="gpu",
    summary="streets and people at 512 pixels, ten times the steps of real, for one GPU",
    grids=(*_grids(0), *_grids(1, 2)),
    minutes=2.0,
)
