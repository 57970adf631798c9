"""TinyViT of MobileSAM under a feature pyramid, fine-tuned."""

from __future__ import annotations

from typing import Any

from unseg.evaluate.victims.pyramid import PyramidVictim
from unseg.models.backbones import TinyViT


class TinyViTVictim(PyramidVictim):
    """The backbone that the generator itself looks through, in an attacker's hands.

    Args:
        steps: optimiser steps.
        learning_rate: peak learning rate of the decoder.
        settings: of :class:`PyramidVictim` and :class:`SemanticVictim`.
    """

    name = "tinyvit"
    summary = "TinyViT encoder of mobile_sam, feature pyramid, fine-tuned"
    backbone = TinyViT
    stride = 16

    def __init__(self, *, steps: int = 400, learning_rate: float = 2e-3, **settings: Any) -> None:
        super().__init__(steps=steps, learning_rate=learning_rate, **settings)
