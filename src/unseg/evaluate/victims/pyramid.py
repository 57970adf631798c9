"""Victims of a backbone and a light decoder: one line names the backbone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import nn

from unseg.evaluate.problem import Problem
from unseg.evaluate.victims.semantic import SemanticVictim
from unseg.models.backbones.base import Backbone
from unseg.models.backbones.pyramid import PyramidNetwork


class PyramidVictim(SemanticVictim):
    """Fine-tunes a pretrained backbone at a smaller rate than its new decoder.

    Subclasses name their ``backbone``.

    Args:
        pretrained: start from pretrained weights, else from scratch.
        share: the pretrained backbone's learning rate relative to ``learning_rate``; from scratch
            it is 1.
        width: channels of the decoder.
        settings: of :class:`SemanticVictim`.
    """

    backbone: ClassVar[Callable[..., Backbone]]

    def __init__(
        self, *, pretrained: bool = True, share: float = 0.2, width: int = 64, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.pretrained, self.share, self.width = pretrained, share, width

    def build(self, problem: Problem) -> nn.Module:
        backbone = type(self).backbone(pretrained=self.pretrained)
        network = PyramidNetwork(backbone, self.width, self.num_classes(problem))
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def parameters(self, network: nn.Module) -> list[dict[str, Any]]:
        assert isinstance(network, PyramidNetwork)
        lr = self.learning_rate * (self.share if self.pretrained else 1.0)
        return [
            {"params": network.decoder_parameters()},
            {"params": list(network.backbone.parameters()), "lr": lr},
        ]
