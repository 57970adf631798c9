"""DeepLabV3 on MobileNetV2 (transformers), pretrained on ImageNet or from scratch."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn

from unseg.evaluate.problem import Problem
from unseg.evaluate.victims.checkpoint import from_local
from unseg.evaluate.victims.semantic import SemanticVictim


class DeepLabV3Victim(SemanticVictim):
    """MobileNetV2 with dilated last stages and image pooling (Chen et al., 2017).

    Args:
        pretrained: start the backbone from ImageNet weights.
        output_stride: of the last features; 8 as in the published model, 16 is cheaper.
        dropout: of the features before the classifier.
        learning_rate: peak learning rate.
        checkpoint: local Hugging Face folder to start from instead, of MobileNetV2 or the model.
        settings: of :class:`SemanticVictim`.
    """

    name = "deeplabv3"
    summary = "DeepLabV3 on MobileNetV2, pretrained on ImageNet (transformers)"

    def __init__(
        self,
        *,
        pretrained: bool = True,
        output_stride: int = 8,
        dropout: float = 0.1,
        learning_rate: float = 5e-4,
        checkpoint: str = "",
        **settings: Any,
    ) -> None:
        super().__init__(learning_rate=learning_rate, **settings)
        self.pretrained, self.output_stride, self.dropout = pretrained, output_stride, dropout
        self.checkpoint = checkpoint

    def build(self, problem: Problem) -> nn.Module:
        from transformers import MobileNetV2ForSemanticSegmentation

        from unseg.models.backbones import mobilenet

        own: dict[str, Any] = {
            "output_stride": self.output_stride,
            "classifier_dropout_prob": self.dropout,
        }
        labels = self.num_classes(problem)
        network: Any
        if self.checkpoint:
            network = from_local(MobileNetV2ForSemanticSegmentation, self.checkpoint, labels, **own)
        else:
            network = MobileNetV2ForSemanticSegmentation(mobilenet.config(num_labels=labels, **own))
        pretrained = self.pretrained and not self.checkpoint
        mobilenet.prepare(network.mobilenet_v2, pretrained=pretrained)
        mobilenet.steady_norms(network.segmentation_head)
        return cast(nn.Module, network.to(memory_format=torch.channels_last))
