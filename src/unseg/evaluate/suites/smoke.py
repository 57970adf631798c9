"""Everything once, as small as it gets: shows that it runs, measures nothing."""

from __future__ import annotations

from pathlib import Path

from unseg.evaluate.suites.base import Grid, Recipe, Suite

SMALL = {"size": 64, "steps": 1, "batch_size": 2}
CROPS = {**SMALL, "crop": 64}
QUERIES = {**SMALL, "queries": 4, "pretrained": False, "backbone": "mobilenetv2"}
CLICKS = {**SMALL, "clicks": 1}

DEFAULTS = (
    Recipe.of("unet", width=4, units=1, **CROPS),
    Recipe.of("unetpp", width=4, **CROPS),
    Recipe.of("deeplabv3", pretrained=False, **CROPS),
    Recipe.of("segformer", width=8, depth=1, **CROPS),
    Recipe.of("upernet", width=8, depth=1, decoder=8, **CROPS),
    Recipe.of("efficientnet", pretrained=False, width=8, **CROPS),
    Recipe.of("tinyvit", width=8, **CROPS),
    Recipe.of("mask2former", width=32, encoder=1, decoder=1, points=32, **QUERIES),
    Recipe.of("maskformer", width=32, decoder=1, **QUERIES),
    Recipe.of("rtdetr", width=16, decoder=1, denoising=4, **QUERIES),
    Recipe.of("sam", **CLICKS),
    Recipe.of("sam_hq", **CLICKS),
    Recipe.of("ritm", pretrained=False, width=8, **CLICKS),
    Recipe.of("rsprompter", looks=4, **SMALL),
)


def _data(root: Path) -> None:
    # The layouts' writers need more than a list of suites does.
    from unseg.evaluate.smoke import write_data

    write_data(root)


SMOKE = Suite(
    name="smoke",
    summary="every task and victim once on tiny drawn data, in two minutes",
    grids=(
        Grid("dense", ["semantic"], ["unet"], ["clean", "unseg-class"]),
        Grid("objects", ["instance"], ["mask2former"], ["clean", "random"]),
        Grid("boxes", ["detection"], ["rtdetr"], ["clean", "unseg-instance"]),
        Grid("clicks", ["interactive"], ["sam", "sam_hq", "ritm"], ["clean", "random"]),
        Grid("clicks", ["clicked"], ["ritm"], ["clean", "unseg"]),
        Grid("segments", ["panoptic"], ["mask2former", "maskformer"], ["clean"]),
        Grid(
            "every semantic victim", ["medical"],
            ["unet", "unetpp", "deeplabv3", "segformer", "upernet", "efficientnet", "tinyvit"],
            ["clean"],
        ),
        Grid("conditions", ["medical"], ["unet"], ["pattern@50", "clean-only@50", "unseg"]),
        Grid("defences", ["medical"], ["unet"], ["unseg"], defences=["jpeg75", "resize50"]),
        Grid("from above", ["remote"], ["unet"], ["clean", "random"]),
        Grid("from above", ["trees"], ["rtdetr", "rsprompter"], ["clean", "pattern"]),
        Grid("one layout", ["roads", "polyps", "lungs", "facades"], ["unet"], ["clean"]),
        Grid("people", ["person", "ccp"], ["unet"], ["clean"]),
    ),
    minutes=0.05,
    data=_data,
    defaults={recipe.name: recipe for recipe in DEFAULTS},
)  # fmt: skip
