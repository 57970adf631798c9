"""SAM's own ViT image encoder: its shape, and its position tables at another size."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

PATCH = 16


@dataclass(frozen=True)
class VitConfig:
    """Shape of a SAM ViT encoder; the defaults are ViT-B.

    Args:
        hidden_size: channels of a token.
        layers: number of blocks.
        heads: attention heads of a block.
        mlp_dim: hidden channels of a block's perceptron.
        window: side of the windows of the blocks without global attention, in tokens.
        global_layers: indices of the blocks with global attention.
        output_channels: channels of the embedding.
    """

    hidden_size: int = 768
    layers: int = 12
    heads: int = 12
    mlp_dim: int = 3072
    window: int = 14
    global_layers: tuple[int, ...] = (2, 5, 8, 11)
    output_channels: int = 256


def resize_positions(state: dict[str, Tensor], wanted: dict[str, Tensor]) -> dict[str, Tensor]:
    """Interpolate position tables to another input size; everything else passes unchanged.

    Args:
        state: encoder state with ``pos_embed`` (1, g, g, C) and ``rel_pos_h/w`` (2g - 1, d).
        wanted: state of an encoder of the wanted size, for its shapes.
    """
    result = dict(state)
    for name, value in state.items():
        shape = wanted[name].shape if name in wanted else value.shape
        if value.shape == shape:
            continue
        if name.endswith("pos_embed") and value.ndim == 4:
            result[name] = F.interpolate(
                value.float().permute(0, 3, 1, 2), tuple(shape[1:3]), mode="bicubic",
                align_corners=False, antialias=True,
            ).permute(0, 2, 3, 1)  # fmt: skip
        elif "rel_pos" in name and value.ndim == 2:
            result[name] = F.interpolate(
                value.float().t().unsqueeze(0), shape[0], mode="linear", align_corners=False
            )[0].t()
    return result


def native_image_size(state: dict[str, Tensor]) -> int:
    """Side of the input, in pixels, that a ViT base's position table was made for."""
    return state["encoder.pos_embed"].shape[1] * PATCH
