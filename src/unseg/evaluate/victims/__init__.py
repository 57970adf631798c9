"""Victims: what a thief would train. A new one is one file and one line here."""

from __future__ import annotations

from unseg.evaluate.victims.base import Victim
from unseg.registry import Registry

VICTIMS: Registry[Victim] = Registry(
    "victim",
    Victim,
    {
        "unet": "unseg.evaluate.victims.unet:UNetVictim",
        "unetpp": "unseg.evaluate.victims.unetpp:UNetPlusPlusVictim",
        "deeplabv3": "unseg.evaluate.victims.deeplabv3:DeepLabV3Victim",
        "segformer": "unseg.evaluate.victims.segformer:SegformerVictim",
        "upernet": "unseg.evaluate.victims.upernet:UperNetVictim",
        "efficientnet": "unseg.evaluate.victims.efficientnet:EfficientNetVictim",
        "tinyvit": "unseg.evaluate.victims.tinyvit:TinyViTVictim",
        "mask2former": "unseg.evaluate.victims.mask2former:Mask2FormerVictim",
        "maskformer": "unseg.evaluate.victims.maskformer:MaskFormerVictim",
        "rtdetr": "unseg.evaluate.victims.rtdetr:RtDetrVictim",
        "sam": "unseg.evaluate.victims.sam:SamVictim",
        "sam_hq": "unseg.evaluate.victims.sam_hq:SamHqVictim",
        "ritm": "unseg.evaluate.victims.ritm:RitmVictim",
        "rsprompter": "unseg.evaluate.victims.rsprompter:RSPrompterVictim",
    },
)

__all__ = ["VICTIMS", "Victim"]
