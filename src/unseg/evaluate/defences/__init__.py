"""Defences a trainer may use. A new one is one file and one line here."""

from __future__ import annotations

from unseg.evaluate.defences.base import Defence
from unseg.registry import Registry, Spec

DEFENCES: Registry[Defence] = Registry(
    "defence",
    Defence,
    {
        "none": "unseg.evaluate.defences.base:NoDefence",
        "jpeg90": Spec("unseg.evaluate.defences.jpeg:Jpeg", {"quality": 90}),
        "jpeg75": Spec("unseg.evaluate.defences.jpeg:Jpeg", {"quality": 75}),
        "jpeg50": Spec("unseg.evaluate.defences.jpeg:Jpeg", {"quality": 50}),
        "jpeg30": Spec("unseg.evaluate.defences.jpeg:Jpeg", {"quality": 30}),
        "bits4": Spec("unseg.evaluate.defences.bits:BitDepth", {"bits": 4}),
        "grey": "unseg.evaluate.defences.grey:Grey",
        "blur": "unseg.evaluate.defences.blur:Blur",
        "median": "unseg.evaluate.defences.median:Median",
        "resize50": Spec("unseg.evaluate.defences.resize:Resize", {"scale": 0.5}),
        "crop": "unseg.evaluate.defences.augment:Crop",
        "augment": "unseg.evaluate.defences.augment:Augment",
        "cutout": "unseg.evaluate.defences.cutout:Cutout",
        "cutmix": "unseg.evaluate.defences.mixing:CutMix",
        "mixup": "unseg.evaluate.defences.mixing:MixUp",
        "ueraser": "unseg.evaluate.defences.ueraser:UEraser",
        "adversarial": "unseg.evaluate.defences.adversarial:Adversarial",
        "noise": "unseg.evaluate.defences.noise:GaussianNoise",
        "residual": "unseg.evaluate.defences.residual:Residual",
        "purifier": "unseg.evaluate.defences.purifier:Purifier",
        "remover": "unseg.evaluate.defences.remover:Remover",
    },
)

__all__ = ["DEFENCES", "Defence"]
