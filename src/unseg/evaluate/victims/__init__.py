"""Victims: what a thief would train. A new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable

from unseg.evaluate.victims.base import Victim
from unseg.evaluate.victims.deeplabv3 import DeepLabV3Victim
from unseg.evaluate.victims.efficientnet import EfficientNetVictim
from unseg.evaluate.victims.mask2former import Mask2FormerVictim
from unseg.evaluate.victims.maskformer import MaskFormerVictim
from unseg.evaluate.victims.ritm import RitmVictim
from unseg.evaluate.victims.rsprompter import RSPrompterVictim
from unseg.evaluate.victims.rtdetr import RtDetrVictim
from unseg.evaluate.victims.sam import SamVictim
from unseg.evaluate.victims.sam_hq import SamHqVictim
from unseg.evaluate.victims.segformer import SegformerVictim
from unseg.evaluate.victims.tinyvit import TinyViTVictim
from unseg.evaluate.victims.unet import UNetVictim
from unseg.evaluate.victims.unetpp import UNetPlusPlusVictim
from unseg.evaluate.victims.upernet import UperNetVictim

VICTIMS: dict[str, Callable[..., Victim]] = {
    UNetVictim.name: UNetVictim,
    UNetPlusPlusVictim.name: UNetPlusPlusVictim,
    DeepLabV3Victim.name: DeepLabV3Victim,
    SegformerVictim.name: SegformerVictim,
    UperNetVictim.name: UperNetVictim,
    EfficientNetVictim.name: EfficientNetVictim,
    TinyViTVictim.name: TinyViTVictim,
    Mask2FormerVictim.name: Mask2FormerVictim,
    MaskFormerVictim.name: MaskFormerVictim,
    RtDetrVictim.name: RtDetrVictim,
    SamVictim.name: SamVictim,
    SamHqVictim.name: SamHqVictim,
    RitmVictim.name: RitmVictim,
    RSPrompterVictim.name: RSPrompterVictim,
}

__all__ = ["VICTIMS", "Victim"]
