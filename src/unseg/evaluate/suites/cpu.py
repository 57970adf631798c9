"""The table that two CPU cores carry: every task, eleven victims, real data.

The most telling runs come first: two cores make what one seed shows in four hours, and all of it in
eight. It may be stopped and continued at any time. The victims' schedules are short ones of their
own, chosen on validation parts so that clean training stays above its floor and a run takes a
minute or two on one core.
"""

from __future__ import annotations

from typing import Any

from unseg.evaluate.conditions import BASELINES
from unseg.evaluate.defences import DEFENCES
from unseg.evaluate.suites.base import Grid, Recipe, Suite
from unseg.noise import Budget

USUAL = ("clean", "unseg", "pattern", "random")
"""What every victim is trained on; ours early, as the rest is known to be weaker or stronger."""

MAIN: dict[str, str | Recipe] = {
    # The U-Net from scratch stays below the floor on the validation part.
    "semantic": "efficientnet",
    "medical": "unet",
    "instance": "mask2former",
    "interactive": "sam",
    "clicked": Recipe.of("ritm", steps=300),
    "detection": "rtdetr",
    "panoptic": Recipe.of("mask2former", steps=220),
    "remote": "unet",
    "trees": "rtdetr",
}
"""The victim of a task that meets every condition."""

OTHERS: dict[str, tuple[str | Recipe, ...]] = {
    "person": ("deeplabv3", "tinyvit"),
    "medical": ("unetpp", "segformer"),
    "remote": ("rsprompter",),
    "semantic": (Recipe.of("deeplabv3", steps=560),),
    "clicked": ("sam",),
}
"""Those that meet the usual ones."""

SMALL: dict[str, Any] = {"size": 160, "crop": 96}
QUERIES: dict[str, Any] = {"size": 160, "queries": 15}

SCHEDULES = (
    Recipe.of("unet", steps=220),
    Recipe.of("unetpp", steps=160, **SMALL),
    Recipe.of("segformer", steps=250, **SMALL),
    Recipe.of("efficientnet", steps=180, **SMALL),
    Recipe.of("deeplabv3", steps=280, **SMALL),
    Recipe.of("tinyvit", steps=120, batch_size=6, **SMALL),
    Recipe.of(
        "mask2former", steps=350, learning_rate=1e-3, encoder=1, decoder=3, points=512, **QUERIES
    ),
    Recipe.of("rtdetr", steps=350, denoising=20, **QUERIES),
    Recipe.of("sam", steps=50, batch_size=4),
    Recipe.of("rsprompter", looks=96, steps=80),
)

PROMPTED = {
    "semantic": "unseg-class",
    "instance": "unseg-instance",
    "interactive": "unseg-instance",
    "panoptic": "unseg-class",
}
"""Ours with one prompt a class or object, where the task tells them apart."""

BASELINE_CONDITIONS = tuple(name for name in BASELINES if name not in USUAL)
ALL_DEFENCES = tuple(name for name in DEFENCES if name != "none")
HALF = Budget(4, 1)
"""Half the usual budget, and the paper's for medical images."""
MIXED = (
    "unseg@80", "clean-only@20", "unseg@95", "clean-only@5", "unseg@60", "clean-only@40",
    "unseg@40", "clean-only@60", "unseg@20", "clean-only@80",
)  # fmt: skip
"""Each share of protected images, and the clean rest alone."""
STRONGEST = ("jpeg50", "blur", "grey", "resize50", "residual", "purifier", "remover")
"""Defences that say most where an object has a shape."""
STRONG_DEFENCES = ("grey", "augment", "ueraser", "adversarial")
"""Those after which most is left on streets."""
SINGLE = (
    "grey", "jpeg50", "jpeg75", "jpeg90", "blur", "median", "resize50", "bits4", "augment",
    "adversarial", "residual",
)  # fmt: skip
"""Defences that the baselines meet as well."""
STRONG_BASELINES = {"medical": ("constant", "pattern"), "semantic": ("texture", "pattern")}
"""What leaves least without a defence, and the hand-made pattern."""
SEEDED = {
    "semantic": ("unseg-class", "unseg-class-strong", "texture"),
    "medical": ("constant",),
    "instance": ("texture",),
    "panoptic": ("unseg-class", "unseg-class-strong", "texture"),
    "detection": ("texture",),
    "interactive": ("unseg-instance", "texture"),
    "remote": (),
    "clicked": ("texture",),
}
"""What meets three seeds beside the usual conditions: ours, and the best baseline."""
HALVED = {"medical": ("unseg", "constant"), "semantic": ("unseg-class", "texture")}
"""Ours and the best baseline, where half the budget is asked for."""
SMALLEST = (Budget(1, 0.25), Budget(2, 0.5))
BUDGETS = (*SMALLEST, HALF, Budget(16, 4))

CPU = Suite(
    name="cpu",
    summary="every task on real data, sized for two CPU cores, the most telling runs first",
    grids=(
        *(Grid("main victims", [task], [victim], USUAL) for task, victim in MAIN.items()),
        *(
            Grid("one prompt a class or object", [task], [MAIN[task]], [condition])
            for task, condition in PROMPTED.items()
        ),
        *(Grid("other victims", [task], victims, USUAL) for task, victims in OTHERS.items()),
        Grid("medical, the paper's budget", ["medical"], ["unet"], USUAL, budgets=[HALF]),
        *(
            Grid("baselines", [task], [victim], BASELINE_CONDITIONS)
            for task, victim in MAIN.items()
        ),
        Grid("defences", ["medical"], ["unet"], ["unseg"], defences=ALL_DEFENCES),
        Grid("defences", ["semantic"], [MAIN["semantic"]], ["unseg-class"], defences=ALL_DEFENCES),
        *(
            Grid("seeds", [task], [MAIN[task]], [*USUAL, *names], seeds=[0, 1, 2])
            for task, names in SEEDED.items()
        ),
        *(
            Grid("seeds of other victims", [task], OTHERS[task], USUAL, seeds=[0, 1, 2])
            for task in ("person", "medical", "semantic")
        ),
        *(
            Grid("visibility", [task], [MAIN[task]], ["unseg-strong", "unseg-low"])
            for task in ("instance", "detection")
        ),
        Grid(
            "the whole bound, as the baselines have it", ["semantic"], [MAIN["semantic"]],
            ["unseg-class-strong"], defences=SINGLE,
        ),
        Grid("visibility", ["person"], OTHERS["person"], ["unseg-strong", "unseg-low"]),
        Grid("masks from boxes", ["person"], OTHERS["person"], ["unseg-boxes"], seeds=[0, 1, 2]),
        Grid("without masks", ["person"], OTHERS["person"], ["unseg-salient"], seeds=[0, 1, 2]),
        Grid("without masks", ["instance"], [MAIN["instance"]], ["unseg-salient"]),
        Grid(
            "the base's own proposals", ["person"], OTHERS["person"], ["unseg-proposed"],
            seeds=[0, 1, 2],
        ),
        Grid("masks from boxes", ["instance"], [MAIN["instance"]], ["unseg-boxes"]),
        Grid(
            "defences of an object's shape", ["person"], ["deeplabv3"], ["unseg"],
            defences=STRONGEST,
        ),
        Grid(
            "defences of segments", ["panoptic"], [MAIN["panoptic"]], ["unseg-class", "texture"],
            defences=("residual", "jpeg50", "blur", "grey"),
        ),
        Grid("mixed with clean images", ["medical"], ["unet"], MIXED),
        *(
            Grid("defences against baselines", [task], [MAIN[task]], names, defences=SINGLE)
            for task, names in STRONG_BASELINES.items()
        ),
        Grid(
            "semantic, half the budget", ["semantic"], [MAIN["semantic"]],
            ["unseg-class", *STRONG_BASELINES["semantic"]], budgets=[HALF],
        ),
        *(
            Grid(
                "half the budget", [task], [MAIN[task]], names, budgets=[HALF], seeds=[0, 1, 2]
            )
            for task, names in HALVED.items()
        ),
        Grid("budgets", ["medical"], ["unet"], ["unseg", "constant", "pattern"], budgets=BUDGETS),
        Grid(
            "budgets", ["semantic"], [MAIN["semantic"]], ["unseg-class", "texture"],
            budgets=SMALLEST,
        ),
        Grid(
            "the defence that costs most, seeds", ["semantic"], [MAIN["semantic"]],
            ["unseg-class", "texture"], defences=("grey",), seeds=[0, 1, 2],
        ),
        Grid("one class alone", ["semantic"], [MAIN["semantic"]], ["unseg[Car]", "unseg[Road]"]),
        Grid(
            "one prompt a class and the best baseline, other victims", ["semantic"],
            OTHERS["semantic"], ["unseg-class", "texture"], seeds=[0, 1, 2],
        ),
        Grid("what defences cost", ["medical"], ["unet"], ["clean"], ALL_DEFENCES),
        Grid("what defences cost", ["semantic"], [MAIN["semantic"]], ["clean"], STRONG_DEFENCES),
    ),
    minutes=1.5,
    defaults={recipe.name: recipe for recipe in SCHEDULES},
    # Most of these images are grey: an owner of such asks for --tint.
    conditions={"medical": {"unseg": "unseg-tint"}},
)  # fmt: skip
