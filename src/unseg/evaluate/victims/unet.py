"""A small U-Net (monai), trained from scratch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from unseg.evaluate.problem import Problem
from unseg.evaluate.victims.semantic import SemanticVictim


class UNetVictim(SemanticVictim):
    """monai's residual U-Net.

    Args:
        width: channels of the first level; each of the four further levels doubles them.
        units: residual units a level.
        learning_rate: peak learning rate.
        settings: of :class:`SemanticVictim`.
    """

    name = "unet"
    summary = "small residual U-Net from scratch (monai)"
    stride = 16

    def __init__(
        self, *, width: int = 16, units: int = 2, learning_rate: float = 3e-3, **settings: Any
    ) -> None:
        super().__init__(learning_rate=learning_rate, **settings)
        self.width, self.units = width, units

    def build(self, problem: Problem) -> nn.Module:
        from monai.networks.nets.unet import UNet

        network = UNet(
            spatial_dims=2,
            in_channels=3,
            out_channels=self.num_classes(problem),
            channels=tuple(self.width * 2**level for level in range(5)),
            strides=(2, 2, 2, 2),
            num_res_units=self.units,
            norm="batch",
        )
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
