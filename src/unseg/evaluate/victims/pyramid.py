"""Victims of a backbone and a light decoder: one line names the backbone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unseg.evaluate.problem import Problem
from unseg.evaluate.victims.backbones.base import Backbone
from unseg.evaluate.victims.semantic import SemanticVictim


def _block(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class PyramidNetwork(nn.Module):
    """A backbone under a feature pyramid (Lin et al., 2017) that ends at its finest level.

    Args:
        backbone: gives one map a level, finest first.
        width: channels of the pyramid.
        num_classes: channels of the logits.
    """

    def __init__(self, backbone: Backbone, width: int, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.lateral = nn.ModuleList(_block(channels, width, 1) for channels in backbone.channels)
        self.smooth = nn.ModuleList(_block(width, width, 3) for _ in backbone.channels)
        self.classifier = nn.Conv2d(width, num_classes, 1)

    def forward(self, images: Tensor, added: Sequence[Tensor] | None = None) -> Tensor:
        """Logits of every pixel.

        Args:
            images: (B, 3, H, W) float, normalised.
            added: what else the pyramid sees: one (B, width, h, w) a level, finest first.

        Returns:
            (B, num_classes, H/s, W/s), s the finest stride.
        """
        maps = self.backbone(images)
        sides = [lateral(found) for found, lateral in zip(maps, self.lateral, strict=True)]
        if added is not None:
            sides = [side + more for side, more in zip(sides, added, strict=True)]
        x: Tensor | None = None
        for side, smooth in reversed(list(zip(sides, self.smooth, strict=True))):
            x = side if x is None else side + F.interpolate(x, side.shape[-2:], mode="nearest")
            x = smooth(x)
        return self.classifier(x)


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
        new = [p for part in (network.lateral, network.smooth, network.classifier)
               for p in part.parameters()]  # fmt: skip
        lr = self.learning_rate * (self.share if self.pretrained else 1.0)
        return [{"params": new}, {"params": list(network.backbone.parameters()), "lr": lr}]
