"""The table that two CPU cores carry in a night: every task, every victim, real data.

The most telling runs come first, and it may be stopped and continued at any time. Victims keep
their own settings, which were chosen on validation parts.
"""

from __future__ import annotations

from unseg.evaluate.conditions import BASELINES
from unseg.evaluate.defences import DEFENCES
from unseg.evaluate.suites.base import Grid, Plan
from unseg.noise import Budget

USUAL = ("clean", "unseg", "pattern", "random")
"""What every victim is trained on; ours early, as the rest is known to be weaker or stronger."""

MAIN = {
    # The U-Net from scratch stays below the floor on the validation part.
    "semantic": "efficientnet",
    "medical": "unet",
    "instance": "mask2former",
    "interactive": "sam",
    "detection": "rtdetr",
    "panoptic": "mask2former",
    "remote": "unet",
    "trees": "rtdetr",
}
"""The victim of a task that meets every condition."""

OTHERS = {
    "semantic": ("unet", "segformer", "deeplabv3", "upernet", "unetpp", "tinyvit"),
    "medical": ("efficientnet", "unetpp", "segformer"),
    "instance": ("maskformer",),
    "interactive": ("ritm", "sam_hq"),
    "panoptic": ("maskformer",),
    "remote": ("rsprompter", "efficientnet"),
    "trees": ("rsprompter",),
}
"""Those that meet the usual ones."""

PROMPTED = {
    "semantic": "unseg-class",
    "instance": "unseg-instance",
    "interactive": "unseg-instance",
    "panoptic": "unseg-instance",
}
"""Ours with one prompt a class or object, where the task tells them apart."""

BASELINE_CONDITIONS = tuple(name for name in BASELINES if name not in USUAL)
ALL_DEFENCES = tuple(name for name in DEFENCES if name != "none")
PAPER_MEDICAL = Budget(4, 1)
"""The paper's budget for medical images."""
MIXED = (
    "unseg@80", "clean-only@20", "unseg@95", "clean-only@5", "unseg@60", "clean-only@40",
    "unseg@40", "clean-only@60", "unseg@20", "clean-only@80",
)  # fmt: skip
"""Each share of protected images, and the clean rest alone."""
BUDGETS = (Budget(2, 0.5), Budget(4, 1), Budget(16, 4))

CPU = Plan(
    name="cpu",
    summary="every task and victim on real data, sized for two CPU cores and ten hours",
    grids=(
        *(Grid("main victims", [task], [victim], USUAL) for task, victim in MAIN.items()),
        *(
            Grid("one prompt a class or object", [task], [MAIN[task]], [condition])
            for task, condition in PROMPTED.items()
        ),
        *(Grid("other victims", [task], victims, USUAL) for task, victims in OTHERS.items()),
        Grid("medical, the paper's budget", ["medical"], ["unet"], USUAL, budgets=[PAPER_MEDICAL]),
        *(
            Grid("baselines", [task], [victim], BASELINE_CONDITIONS)
            for task, victim in MAIN.items()
        ),
        Grid("defences", ["medical"], ["unet"], ["unseg"], defences=ALL_DEFENCES),
        Grid("defences", ["semantic"], [MAIN["semantic"]], ["unseg-class"], defences=ALL_DEFENCES),
        *(
            Grid("seeds", [task], [MAIN[task]], USUAL, seeds=[0, 1, 2])
            for task in ("semantic", "medical", "instance")
        ),
        Grid("seeds", ["semantic"], [MAIN["semantic"]], ["unseg-class"], seeds=[0, 1, 2]),
        Grid("mixed with clean images", ["medical"], ["unet"], MIXED),
        Grid("budgets", ["medical"], ["unet"], ["unseg", "pattern"], budgets=BUDGETS),
        Grid("one class alone", ["semantic"], [MAIN["semantic"]], ["unseg[Car]", "unseg[Road]"]),
        Grid("the best baseline of a dense task", ["semantic"], ["unet"], ["texture"]),
        Grid(
            "one prompt a class, other victims", ["semantic"], OTHERS["semantic"], ["unseg-class"]
        ),
        Grid("what defences cost", ["medical"], ["unet"], ["clean"], ALL_DEFENCES),
    ),
    minutes=3.0,
)  # fmt: skip
