"""A backbone under a feature pyramid: the network of victims and of pretrained surrogates."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from unseg.models.backbones.base import Backbone


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

    def decoder_parameters(self) -> list[nn.Parameter]:
        """What is new beside the backbone, which is fine-tuned at a smaller rate."""
        parts = (self.lateral, self.smooth, self.classifier)
        return [parameter for part in parts for parameter in part.parameters()]

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
