"""Prompts in the layout of transformers' ``SamPromptEncoder``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Num
from torch import Tensor, nn

#: SAM feeds its own mask logits back as mask prompts; +-10 is a confident one.
MASK_LOGIT = 10.0


@dataclass(frozen=True)
class Prompts:
    """A batch of prompts in the layout of transformers' ``SamPromptEncoder``.

    Args:
        points: (B, 1, K, 2) xy in model-input pixels, or None.
        labels: (B, 1, K) with 1 for an object click, or None.
        boxes: (B, 1, 4) xyxy in model-input pixels, or None.
        masks: (B, 1, G, G) logits on four times the embedding grid, or None.
    """

    points: Float[Tensor, "b 1 k 2"] | None = None
    labels: Num[Tensor, "b 1 k"] | None = None
    boxes: Float[Tensor, "b 1 4"] | None = None
    masks: Float[Tensor, "b 1 g g"] | None = None


def mask_prompt(mask: Float[Tensor, "b 1 h w"], grid: int) -> Float[Tensor, "b 1 {grid} {grid}"]:
    """Turn masks into SAM mask prompts.

    Args:
        mask: (B, 1, H, W), float, in [0, 1], in the model's square frame.
        grid: side of the prompt, four times the embedding grid.

    Returns:
        (B, 1, grid, grid) logits in +-:data:`MASK_LOGIT`.
    """
    return (2 * F.interpolate(mask, (grid, grid), mode="area") - 1) * MASK_LOGIT


def dense_positions(encoder: nn.Module, side: int) -> Float[Tensor, "1 c {side} {side}"]:
    """Position encoding of the cells of a grid over the model input.

    Args:
        encoder: the prompt encoder, ours or transformers', whose Fourier features are used.
        side: of the grid.

    Returns:
        (1, C, side, side).
    """
    table: Any = encoder.shared_embedding
    weight = table.positional_embedding
    centres = (torch.arange(side, device=weight.device, dtype=weight.dtype) + 0.5) / side
    rows, columns = torch.meshgrid(centres, centres, indexing="ij")
    return table(torch.stack([columns, rows], dim=-1)).permute(2, 0, 1).unsqueeze(0)
