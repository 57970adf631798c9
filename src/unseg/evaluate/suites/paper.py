"""The paper's data sets, architectures and start, at full size; nothing of it has run here.

``batch_size`` counts for each process: the schedules are meant for four of them. ``checkpoint``
names a folder below ``UNSEG_CHECKPOINTS``; docs/reproduce.md says where each comes from. All are
backbones trained on ImageNet: one that had seen the data set clean would know what protection
hides.
"""

from __future__ import annotations

from typing import Any

from unseg.evaluate.suites.base import Grid, Recipe, Suite
from unseg.evaluate.victims.loader import Augmentation
from unseg.noise import Budget

CONDITIONS = ("clean", "random", "pattern", "unseg")
DENSE = (*CONDITIONS, "unseg-class")
"""Where every pixel is protected, a mask has no shape: prompts by class add what it lacks."""
MEDICAL = Budget(4.0, 1.0)

SCALES = Augmentation(smallest=0.5, largest=2.0)
JITTER = Augmentation(smallest=0.1, largest=2.0)
"""Large-scale jitter (Ghiasi et al., CVPR 2021)."""

DEFAULTS = (
    Recipe.of(
        "deeplabv3", checkpoint="mobilenet_v2_1.0_224", size=512, crop=512, batch_size=4,
        learning_rate=2e-4, augmentation=SCALES,
    ),
    Recipe.of(
        "segformer", checkpoint="mit-b2", size=512, crop=512, batch_size=4, learning_rate=6e-5,
        augmentation=SCALES,
    ),
    Recipe.of(
        "upernet", checkpoint="convnext-tiny-224", decoder=512, size=512, crop=512, batch_size=4,
        learning_rate=1e-4, weight_decay=0.05, augmentation=SCALES,
    ),
    Recipe.of(
        "mask2former", checkpoint="swin-tiny-patch4-window7-224", size=1024, batch_size=4,
        learning_rate=1e-4, slow=0.1, weight_decay=0.05, queries=100, width=256, encoder=6,
        decoder=9, points=12_544, augmentation=JITTER,
    ),
    Recipe.of(
        "rtdetr", checkpoint="resnet-50", size=640, batch_size=4, learning_rate=1e-4, slow=0.1,
        weight_decay=1e-4, queries=300, width=256, decoder=6, denoising=100,
    ),
    *(
        Recipe.of(
            name, size=352, crop=352, width=32, steps=20_000, batch_size=4, augmentation=SCALES
        )
        for name in ("unet", "unetpp")
    ),
    Recipe.of("sam_hq", size=1024, steps=66_000, batch_size=4),
    Recipe.of("ritm", size=512, steps=110_000, batch_size=8),
    Recipe.of("rsprompter", size=512, looks=4096, steps=60_000, batch_size=4, masks=32),
)  # fmt: skip
"""What a victim has at full size; a grid adds the data set's schedule."""

HQSEG = ("dis", "coift", "hrsod", "thinobject")
REMOTE = ("whu", "nwpu", "ssdd")
DEFENDED = ("blur", "noise", "jpeg75", "resize50", "adversarial")
MIXES = tuple(f"unseg@{share}" for share in (20, 40, 60, 80, 95))


def _for(steps: int, *names: str, **settings: Any) -> tuple[Recipe, ...]:
    """Victims with a data set's schedule."""
    return tuple(Recipe.of(name, steps=steps, **settings) for name in names)


def _swin_and_resnet(steps: int) -> tuple[Recipe, ...]:
    return (
        *_for(steps, "mask2former"),
        *_for(steps, "mask2former", checkpoint="resnet-50"),
    )


PAPER = Suite(
    name="paper",
    summary="the paper's data sets at full size, for several GPUs (docs/reproduce.md)",
    grids=(
        Grid("objects", ["voc"], _for(40_000, "deeplabv3", "mask2former"), CONDITIONS),
        Grid("scenes", ["ade20k"], _for(160_000, "segformer", "upernet", "mask2former"), DENSE),
        Grid(
            "streets", ["cityscapes"],
            (*_for(90_000, "segformer"), *_swin_and_resnet(90_000)), DENSE,
        ),
        Grid("streets", ["cityscapes-panoptic"], _for(90_000, "mask2former"), DENSE),
        Grid("streets", ["cityscapes-instance"], _for(90_000, "mask2former"), CONDITIONS),
        Grid("objects one by one", ["coco-instance"], _swin_and_resnet(368_750), CONDITIONS),
        Grid("all in segments", ["coco-panoptic"], _for(368_750, "mask2former"), DENSE),
        Grid("boxes", ["coco-detection"], _for(530_000, "rtdetr"), CONDITIONS),
        Grid("clicks", HQSEG, ["sam_hq", "ritm"], CONDITIONS),
        Grid("remote", REMOTE, ["rsprompter", *_for(30_000, "mask2former")], CONDITIONS),
        Grid(
            "polyps", ["kvasir"], ["unet", "unetpp", *_for(20_000, "deeplabv3")], CONDITIONS,
            budgets=(MEDICAL,),
        ),
        Grid("mixed", ["voc"], _for(40_000, "deeplabv3"), MIXES),
        Grid(
            "defended", ["voc"], _for(40_000, "deeplabv3"), ["clean", "unseg"],
            defences=DEFENDED,
        ),
    ),
    minutes=24 * 60.0,
    defaults={recipe.name: recipe for recipe in DEFAULTS},
)  # fmt: skip
