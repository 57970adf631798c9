"""Small backbones as feature pyramids, pretrained or from scratch: attackers fine-tune."""

from __future__ import annotations

from collections.abc import Callable

from unseg.errors import UnsegError
from unseg.models.backbones.base import Backbone
from unseg.models.backbones.efficientnet import EfficientNetLite0
from unseg.models.backbones.mobilenet import MobileNetV2
from unseg.models.backbones.tinyvit import TinyViT

BACKBONES: dict[str, Callable[..., Backbone]] = {
    "efficientnet": EfficientNetLite0,
    "mobilenetv2": MobileNetV2,
    "tinyvit": TinyViT,
}
"""Those that a victim's setting may name."""


def check_backbone(victim: str, name: str) -> None:
    """Refuse a backbone that is not in ``BACKBONES``.

    Raises:
        UnsegError: names the victim and the choices.
    """
    if name not in BACKBONES:
        raise UnsegError(
            f"{victim}: backbone {name!r} is not known: choose from {', '.join(BACKBONES)}"
        )


__all__ = [
    "BACKBONES", "Backbone", "EfficientNetLite0", "MobileNetV2", "TinyViT", "check_backbone",
]  # fmt: skip
