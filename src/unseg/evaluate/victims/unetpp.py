"""UNet++ (monai), from scratch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from unseg.evaluate.problem import Problem
from unseg.evaluate.victims.semantic import SemanticVictim


class LastHead(nn.Module):
    """monai's network answers with a list of heads: without deep supervision, of one."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, C, H, W)."""
        return self.network(images)[-1]


class UNetPlusPlusVictim(SemanticVictim):
    """Nested skip connections (Zhou et al., 2018).

    Args:
        width: channels of the first level; each of the four further levels doubles them.
        learning_rate: peak learning rate.
        settings: of :class:`SemanticVictim`.
    """

    name = "unetpp"
    summary = "small UNet++ from scratch (monai)"
    stride = 16

    def __init__(self, *, width: int = 8, learning_rate: float = 3e-3, **settings: Any) -> None:
        super().__init__(learning_rate=learning_rate, **settings)
        self.width = width

    def build(self, problem: Problem) -> nn.Module:
        from monai.networks.nets.basic_unetplusplus import BasicUNetPlusPlus

        levels = [self.width * 2**level for level in range(5)]
        network = BasicUNetPlusPlus(
            spatial_dims=2,
            in_channels=3,
            out_channels=self.num_classes(problem),
            features=(*levels, self.width),
            norm="batch",
        )
        return LastHead(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
