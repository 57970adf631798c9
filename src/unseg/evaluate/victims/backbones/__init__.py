"""Small backbones as feature pyramids, pretrained or from scratch: attackers fine-tune."""

from __future__ import annotations

from unseg.evaluate.victims.backbones.base import Backbone
from unseg.evaluate.victims.backbones.efficientnet import EfficientNetLite0
from unseg.evaluate.victims.backbones.mobilenet import MobileNetV2
from unseg.evaluate.victims.backbones.tinyvit import TinyViT

__all__ = ["Backbone", "EfficientNetLite0", "MobileNetV2", "TinyViT"]
