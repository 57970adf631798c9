"""EfficientNet-Lite0 under a feature pyramid, fine-tuned from ImageNet."""

from __future__ import annotations

from typing import Any

from unseg.evaluate.victims.pyramid import PyramidVictim
from unseg.models.backbones import EfficientNetLite0


class EfficientNetVictim(PyramidVictim):
    """The convolutional backbone that an attacker with few images would start from.

    Args:
        learning_rate: peak learning rate of the decoder.
        settings: of :class:`PyramidVictim` and :class:`SemanticVictim`.
    """

    name = "efficientnet"
    summary = "EfficientNet-Lite0 pretrained on ImageNet, feature pyramid"
    backbone = EfficientNetLite0

    def __init__(self, *, learning_rate: float = 2e-3, **settings: Any) -> None:
        super().__init__(learning_rate=learning_rate, **settings)
