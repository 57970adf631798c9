"""TinyViT-5M of MobileSAM: the image encoder of the base that ships with the package."""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor

from unseg.models.backbones.base import Backbone
from unseg.models.sam.tinyvit import Stage, TinyVit


class TinyViT(Backbone):
    """Features at strides 4, 8 and 16, the last through SAM's neck; 5.7 million parameters.

    Args:
        pretrained: start from MobileSAM's encoder, which the shipped generator keeps frozen.
    """

    channels = (64, 128, 256)
    strides = (4, 8, 16)

    def __init__(self, *, pretrained: bool = True) -> None:
        super().__init__()
        self.model = _shipped() if pretrained else TinyVit()

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.model.patch_embed(x.contiguous(memory_format=torch.channels_last))
        found = []
        for index, stage in enumerate(cast(list[Stage], self.model.layers)):
            for block in stage.blocks:
                x = block(x)
            if index < 2:
                found.append(x)
            if stage.downsample is not None:
                x = stage.downsample(x)
        return [*found, self.model.neck(x)]


def _shipped() -> TinyVit:
    from unseg.models.registry import load_shipped_base

    encoder = copy.deepcopy(load_shipped_base().encoder)
    assert isinstance(encoder, TinyVit)
    return encoder.requires_grad_(True)
