"""Defences a trainer may use. A new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable

from unseg.evaluate.defences.adversarial import Adversarial
from unseg.evaluate.defences.augment import Augment, Crop
from unseg.evaluate.defences.base import Defence, NoDefence
from unseg.evaluate.defences.bits import BitDepth
from unseg.evaluate.defences.blur import Blur
from unseg.evaluate.defences.cutout import Cutout
from unseg.evaluate.defences.grey import Grey
from unseg.evaluate.defences.jpeg import Jpeg
from unseg.evaluate.defences.median import Median
from unseg.evaluate.defences.mixing import CutMix, MixUp
from unseg.evaluate.defences.noise import GaussianNoise
from unseg.evaluate.defences.purifier import Purifier
from unseg.evaluate.defences.remover import Remover
from unseg.evaluate.defences.residual import Residual
from unseg.evaluate.defences.resize import Resize
from unseg.evaluate.defences.ueraser import UEraser

DEFENCES: dict[str, Callable[[], Defence]] = {
    "none": NoDefence,
    "jpeg90": lambda: Jpeg(quality=90),
    "jpeg75": lambda: Jpeg(quality=75),
    "jpeg50": lambda: Jpeg(quality=50),
    "jpeg30": lambda: Jpeg(quality=30),
    "bits4": lambda: BitDepth(bits=4),
    "grey": Grey,
    "blur": Blur,
    "median": Median,
    "resize50": lambda: Resize(scale=0.5),
    "crop": Crop,
    "augment": Augment,
    "cutout": Cutout,
    "cutmix": CutMix,
    "mixup": MixUp,
    "ueraser": UEraser,
    "adversarial": Adversarial,
    "noise": GaussianNoise,
    "residual": Residual,
    "purifier": Purifier,
    "remover": Remover,
}

__all__ = ["DEFENCES", "Defence"]
