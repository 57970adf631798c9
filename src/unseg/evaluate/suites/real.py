"""The table that counts: every task on real data at its own resolution, as practitioners train.

The short side is the data's, and crops have at least 256 pixels. A schedule is to be long enough
that twice the steps add less than three points to clean training on the validation part: the suite
``schedules`` measures that. ``frontier`` is the hand-made noise to beat, on the validation part.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from unseg.evaluate.conditions import BASELINES
from unseg.evaluate.defences import DEFENCES
from unseg.evaluate.suites.base import Grid, Recipe, Suite
from unseg.evaluate.victims.loader import USUAL


def _crops(
    victim: str, size: int, steps: int, rate: float, *, crop: int = 256, batch: int = 8, **own: Any
) -> Recipe:
    """A victim that learns from crops of photographs of a short side."""
    return Recipe.of(
        victim, size=size, crop=crop, steps=steps, learning_rate=rate, batch_size=batch,
        augmentation=USUAL, **own,
    )  # fmt: skip


def _squares(victim: str, size: int, steps: int, rate: float, batch: int = 8, **own: Any) -> Recipe:
    """A victim that learns from whole photographs, in squares."""
    return Recipe.of(
        victim, size=size, steps=steps, learning_rate=rate, batch_size=batch,
        augmentation=USUAL, **own,
    )  # fmt: skip


MASKS: dict[str, Any] = {"queries": 25, "encoder": 1, "decoder": 3, "points": 1024}
"""Mask2Former's size."""
COARSE: dict[str, Any] = {"output_stride": 16}
"""DeepLabV3 as its authors train it; at 8 a step takes three times as long."""

SCHEDULES: dict[str, tuple[Recipe, ...]] = {
    # Side, steps, learning rate.
    "person": (
        _crops("deeplabv3", 448, 280, 5e-4, **COARSE),
        _crops("tinyvit", 448, 150, 2e-3, batch=6),
    ),
    "semantic": (
        _crops("efficientnet", 360, 300, 2e-3),
        _crops("deeplabv3", 360, 500, 5e-4, **COARSE),
    ),
    "medical": (
        _crops("unet", 256, 300, 3e-3),
        _crops("segformer", 256, 300, 1e-3),
    ),
    "instance": (_squares("mask2former", 448, 350, 1e-3, **MASKS),),
    "panoptic": (_squares("mask2former", 448, 250, 1e-3, **MASKS),),
    "detection": (_squares("rtdetr", 448, 350, 5e-4, queries=25, denoising=20),),
    "clicked": (_squares("ritm", 448, 300, 1e-3),),
    "roads": (
        _crops("unet", 400, 400, 3e-3),
        _crops("segformer", 400, 400, 1e-3),
    ),
    "polyps": (
        _crops("unet", 288, 400, 3e-3),
        _crops("segformer", 288, 400, 1e-3),
    ),
    "lungs": (
        _crops("unet", 512, 200, 3e-3),
        _crops("segformer", 512, 250, 1e-3),
    ),
    "facades": (_crops("efficientnet", 512, 400, 2e-3),),
}
"""What the victims of a task are trained with, the main one first; ``schedules`` judges it."""

PROMPTED = {
    "semantic": "unseg-class",
    "instance": "unseg-instance",
    "panoptic": "unseg-class",
    "facades": "unseg-class",
}
"""Ours with one prompt a class or object, where the task tells them apart."""
DEEPENED = ("person", "semantic", "medical")
"""Tasks whose main victim meets every baseline and every defence."""
UNMASKED = ("unseg-found(find=people/whole-image)", "unseg-salient")
"""Ours where the owner gives no masks: people are looked for, or whatever stands out."""
ALL_DEFENCES = tuple(name for name in DEFENCES if name != "none")
PERIODS = (6, 10, 16)
"""Of the frontier's stripes, in 512ths of the long side."""
HUES = ("0/0/1", "0/0.4/1", "-0.4/0.4/1", "1/-1/1")
"""Blue; with green; with green against red; magenta and green."""


def scaled(recipe: Recipe, share: float) -> Recipe:
    """A recipe with a share of its steps."""
    settings = dict(recipe.settings)
    return Recipe.of(recipe.name, **{**settings, "steps": round(share * settings["steps"])})


def _pairs() -> list[tuple[str, Recipe]]:
    """Tasks with a victim each: the main victims of all, then the others."""
    most = max(map(len, SCHEDULES.values()))
    return [(task, own[i]) for i in range(most) for task, own in SCHEDULES.items() if own[i:]]


def ours(task: str) -> str:
    """Our noise as an owner of such data makes it."""
    return PROMPTED.get(task, "unseg")


def _levels(task: str) -> tuple[str, ...]:
    """Ours and the hand-made waves at the other visibilities."""
    names = (ours(task), "stripes")
    return tuple(f"{name}(visibility={level})" for level in ("low", "strong") for name in names)


def _usual(*seeds: int) -> Iterator[Grid]:
    for task, recipe in _pairs():
        conditions = ("clean", ours(task), "stripes", "random")
        yield Grid("usual", [task], [recipe], conditions, seeds=seeds)


def _frontier() -> Iterator[str]:
    """The hand-made default and one besides, every period and hue, and one period at the other
    visibilities."""
    yield from ("clean", "stripes", "stripes(period=10,hue=0/-0.3/1)")
    for hue in HUES:
        yield from (f"stripes(period={period},hue={hue})" for period in PERIODS)
    for level in ("low", "strong"):
        yield from (f"stripes(period=6,hue={hue},visibility={level})" for hue in HUES)


REAL = Suite(
    name="real",
    summary="every task at the data's own resolution, with the recipes of practitioners",
    grids=(
        *_usual(0),
        *(
            Grid("visibility", [task], SCHEDULES[task], _levels(task))
            for task in ("person", "semantic")
        ),
        *(
            Grid("no masks", [task], SCHEDULES[task], UNMASKED, seeds=(0, 1, 2))
            for task in ("person", "instance")
        ),
        *(Grid("baselines", [task], SCHEDULES[task][:1], BASELINES) for task in DEEPENED),
        *(
            Grid("defences", [task], SCHEDULES[task][:1], [ours(task)], defences=ALL_DEFENCES)
            for task in DEEPENED
        ),
        *_usual(1, 2),
    ),
    minutes=4.0,
    # Most of these images are grey: an owner of such asks for --tint.
    conditions={"medical": {"unseg": "unseg-tint"}},
)

SCHEDULED = Suite(
    name="schedules",
    summary="clean training for half, all and twice the steps of real, on the validation part",
    grids=tuple(
        Grid("steps", [task], [scaled(recipe, share)], ["clean"], part="val")
        for task, recipe in _pairs()
        for share in (1, 2, 0.5)
    ),
    minutes=4.0,
)

FRONTIER = Suite(
    name="frontier",
    summary="hand-made waves by period, hue and visibility, on the validation part",
    grids=(
        *(
            Grid("frontier", [task], [recipe], tuple(_frontier()), part="val")
            for task in ("person", "semantic")
            for recipe in SCHEDULES[task]
            if recipe.name == "deeplabv3"
        ),
        # Whether a victim that reads nothing of the usual waves reads longer ones.
        Grid(
            "long", ["person"], SCHEDULES["person"][1:], ("clean", "stripes(period=24)"), part="val"
        ),
    ),
    minutes=4.0,
)
