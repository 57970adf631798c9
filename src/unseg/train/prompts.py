"""Prompts drawn from masks: box, points, boundary-perturbed mask, or none."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from unseg.models.prompts import Prompts, mask_prompt
from unseg.train.config import PromptType


def perturb_boundary(prompt: Tensor, share: float, rng: torch.Generator) -> Tensor:
    """Flip random cells of a mask prompt inside its boundary zone.

    The zone is where a box mean of 1/16 of the side is neither all object nor all background,
    so that what a coarse annotator would get wrong is what changes.

    Args:
        prompt: (B, 1, G, G) logits.
        share: probability that a cell of the zone is flipped, in blocks of 1/32 of the side.
        rng: CPU generator.
    """
    grid = prompt.shape[-1]
    width = max(3, grid // 16) | 1
    mean = F.avg_pool2d((prompt > 0).float(), width, 1, width // 2, count_include_pad=False)
    zone = (mean > 0) & (mean < 1)
    block = max(1, grid // 32)
    cells = -(-grid // block)
    flips = torch.rand(prompt.shape[0], 1, cells, cells, generator=rng) < share
    flips = flips.repeat_interleave(block, 2).repeat_interleave(block, 3)[..., :grid, :grid]
    return torch.where(zone & flips.to(prompt.device), -prompt, prompt)


def boxes_of(mask: Tensor, size: int, jitter: float, rng: torch.Generator) -> Tensor:
    """Bounding boxes of masks, each side moved by up to a share of the box.

    Args:
        mask: (B, 1, H, W) in [0, 1], square; an empty mask gets the whole frame.
        size: side of the model input the coordinates refer to.
        jitter: largest move as a share of the box's width or height.
        rng: CPU generator.

    Returns:
        (B, 1, 4) xyxy.
    """
    scale = size / mask.shape[-1]
    boxes = []
    for one in mask[:, 0] > 0.5:
        rows, columns = one.any(1).nonzero(), one.any(0).nonzero()
        if rows.numel():
            edges = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
            boxes.append([float(edge) * scale for edge in edges])
        else:
            boxes.append([0.0, 0.0, float(size), float(size)])
    box = torch.tensor(boxes)
    extent = torch.stack([box[:, 2] - box[:, 0], box[:, 3] - box[:, 1]], 1).repeat(1, 2)
    move = (2 * torch.rand(box.shape, generator=rng) - 1) * jitter * extent
    return (box + move).clamp(0, size)[:, None].to(mask.device)


def points_of(mask: Tensor, count: int, size: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random clicks inside masks.

    Args:
        mask: (B, 1, H, W) in [0, 1], square; an empty mask is clicked anywhere.
        count: clicks an image.
        size: side of the model input the coordinates refer to.
        rng: CPU generator.

    Returns:
        (B, 1, count, 2) xy and (B, 1, count) labels, all 1.
    """
    side = mask.shape[-1]
    weights = (mask[:, 0] > 0.5).flatten(1).float().cpu()
    weights = torch.where(weights.sum(1, keepdim=True) > 0, weights, torch.ones_like(weights))
    index = torch.multinomial(weights, count, replacement=True, generator=rng)
    xy = torch.stack([index % side, index // side], -1).float() * (size / side)
    points = xy[:, None].to(mask.device)
    return points, torch.ones(points.shape[:3], device=mask.device)


def draw_prompts(
    mask: Tensor,
    types: Sequence[PromptType],
    *,
    size: int,
    grid: int,
    points: int,
    perturb: float,
    rng: torch.Generator,
) -> Prompts:
    """Prompts of the given types for a batch.

    Args:
        mask: (B, 1, H, W) in [0, 1], in the model's square frame.
        types: prompt types to give together.
        size: side of the model input.
        grid: side of a mask prompt.
        points: clicks of a point prompt.
        perturb: see :func:`perturb_boundary`.
        rng: CPU generator.
    """
    clicks, labels, boxes, masks = None, None, None, None
    if "point" in types:
        clicks, labels = points_of(mask, points, size, rng)
    if "box" in types:
        boxes = boxes_of(mask, size, 0.05, rng)
    if "mask" in types:
        masks = perturb_boundary(mask_prompt(mask, grid), perturb, rng)
    return Prompts(clicks, labels, boxes, masks)


def random_subset(types: Sequence[PromptType], rng: torch.Generator) -> list[PromptType]:
    """A non-empty random subset, every one equally likely (ref: the generator's prompts)."""
    unique = list(dict.fromkeys(types))
    code = int(torch.randint(1, 2 ** len(unique), (), generator=rng))
    return [name for bit, name in enumerate(unique) if code >> bit & 1]


def random_one(types: Sequence[PromptType], rng: torch.Generator) -> list[PromptType]:
    """Exactly one type; repeating a type makes it likelier (ref: the surrogate's prompt)."""
    return [types[int(torch.randint(len(types), (), generator=rng))]]
