"""Sigmoid cross entropy and dice on points sampled by uncertainty (PointRend, arXiv 1912.08193)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Num
from torch import Tensor


def _sample(maps: Float[Tensor, "b 1 h w"], points: Float[Tensor, "b p 2"]) -> Float[Tensor, "b p"]:
    """Bilinear values of (B, 1, H, W) maps at (B, P, 2) xy points in [0, 1]: (B, P)."""
    grid = 2 * points[:, :, None] - 1
    return F.grid_sample(maps, grid, align_corners=False, padding_mode="border")[:, 0, :, 0]


def uncertain_points(
    logits: Float[Tensor, "b 1 h w"],
    count: int,
    *,
    oversample: float,
    importance: float,
    rng: torch.Generator,
) -> Float[Tensor, "b {count} 2"]:
    """Draw points, most of them where the prediction is least certain.

    Args:
        logits: (B, 1, H, W) mask logits.
        count: points an image.
        oversample: candidates drawn per point kept by uncertainty.
        importance: share of the points kept by uncertainty; the rest is uniform.
        rng: CPU generator, so that a resumed run draws the same points on any device.

    Returns:
        (B, count, 2) xy in [0, 1].
    """
    batch = logits.shape[0]
    certain_share = round(count * importance)
    candidates = torch.rand(batch, int(count * oversample), 2, generator=rng).to(logits.device)
    with torch.no_grad():
        uncertainty = -_sample(logits.float(), candidates).abs()
    best = uncertainty.topk(certain_share, dim=1).indices
    chosen = candidates.gather(1, best[..., None].expand(-1, -1, 2))
    uniform = torch.rand(batch, count - certain_share, 2, generator=rng).to(logits.device)
    return torch.cat([chosen, uniform], dim=1)


def mask_loss(
    logits: Float[Tensor, "b 1 h w"],
    target: Num[Tensor, "b 1 _h _w"] | Bool[Tensor, "b 1 _h _w"],
    *,
    points: int,
    oversample: float = 3.0,
    importance: float = 0.75,
    rng: torch.Generator,
) -> Float[Tensor, ""]:
    """Cross entropy plus dice (paper, section 3.3), mean over the batch.

    Args:
        logits: (B, 1, h, w) mask logits.
        target: (B, 1, H, W) in [0, 1]; may be larger than the logits.
        points: points sampled an image; 0 uses every cell of the logits.
        oversample: see :func:`uncertain_points`.
        importance: see :func:`uncertain_points`.
        rng: CPU generator for the points.

    Returns:
        Scalar.
    """
    if points:
        where = uncertain_points(
            logits.detach(), points, oversample=oversample, importance=importance, rng=rng
        )
        predicted, truth = _sample(logits.float(), where), _sample(target.float(), where)
    else:
        predicted = logits.float().flatten(1)
        truth = F.interpolate(target.float(), logits.shape[-2:], mode="area").flatten(1)
    entropy = F.binary_cross_entropy_with_logits(predicted, truth)
    probability = predicted.sigmoid()
    overlap = 2 * (probability * truth).sum(1) + 1
    dice = 1 - overlap / (probability.sum(1) + truth.sum(1) + 1)
    return entropy + dice.mean()


def mask_iou(
    logits: Float[Tensor, "b 1 h w"],
    target: Num[Tensor, "b 1 _h _w"] | Bool[Tensor, "b 1 _h _w"],
) -> Float[Tensor, ""]:
    """Mean intersection over union of thresholded logits.

    Args:
        logits: (B, 1, h, w).
        target: (B, 1, H, W) in [0, 1], resized to the logits by area.

    Returns:
        Scalar; an image where both are empty counts as 1.
    """
    predicted = logits > 0
    truth = F.interpolate(target.float(), logits.shape[-2:], mode="area") > 0.5
    inter = (predicted & truth).flatten(1).sum(1)
    union = (predicted | truth).flatten(1).sum(1)
    return torch.where(union > 0, inter / union.clamp(min=1), torch.ones_like(inter)).mean()
