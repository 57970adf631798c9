"""Foreground without ground truth: a point grid through the base's own mask decoder.

The idea is SAM's automatic mask generator (Kirillov et al., 2023): ask at many points, keep what
the model is sure of. Two things differ. Points inside a mask that is already known are not asked
again, and the masks are merged to one foreground, so masks that look like background (ground, sky,
walls: they run along the image's border) are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from unseg.models.geometry import Frame, letterbox, unletterbox
from unseg.models.sam.base import Features, SamBase


@dataclass(frozen=True)
class ProposalConfig:
    """What is asked and what is kept.

    Args:
        input_size: side of the model's input in pixels, for encoders that take any size. Half of
            SAM's 1024 costs a quarter per point and is fine enough for a foreground union.
        points: points along the image's longer side.
        batch: points decoded at once; small batches stay in the processor's cache.
        predicted_iou: smallest IoU that the model predicts for its own mask.
        stability: smallest IoU between the mask at a logit threshold of +1 and of -1.
        smallest: smallest share of the image that an object covers.
        largest: largest share of the image that an object covers.
        border: largest sum of the shares of the left, top and right border that an object covers;
            surroundings run along these.
        ground: largest share of the bottom border that an object covers; people cut off by it
            cover much, the ground covers all.
        close_up: largest share of the image that a close-up covers; it fills the image's middle (a
            quarter of each side), so it may be large and run along the border.
        same: masks whose IoU is larger count as one object.
    """

    input_size: int = 512
    points: int = 16
    batch: int = 16
    predicted_iou: float = 0.9
    stability: float = 0.8
    smallest: float = 0.003
    largest: float = 0.6
    border: float = 0.05
    ground: float = 0.8
    close_up: float = 0.9
    same: float = 0.7


@dataclass(frozen=True)
class Proposal:
    """Proposed foreground.

    Args:
        mask: (H, W), bool, the union of the objects; all false when nothing was found.
        count: number of distinct objects in it.
    """

    mask: Bool[Tensor, "h w"]
    count: int


@torch.no_grad()
def propose_foreground(
    base: SamBase, image: Float[Tensor, "3 h w"], config: ProposalConfig | None = None
) -> Proposal:
    """Propose the objects in an image.

    Args:
        base: a SAM with trained weights. An encoder of one size only (vit_b) runs at that size.
        image: (3, H, W), float, RGB, in [0, 255]; any height and width.
        config: what is asked and kept.

    Returns:
        The union of the objects on the image's pixels, on the image's device. It is empty when no
        mask passes; the caller decides what that means.
    """
    config = config or ProposalConfig()
    model = base.at_size(config.input_size) if base.name == "mobile_sam" else base
    device = next(model.parameters()).device
    pixels, frame = letterbox(image[None].to(device), model.image_size)
    features = model.encode(pixels)
    kept = list(_objects(model, features, frame, config))
    if not kept:
        empty = torch.zeros(image.shape[-2:], dtype=torch.bool, device=image.device)
        return Proposal(empty, 0)
    logits = torch.stack(kept)
    union = unletterbox(logits.amax(0)[None, None], frame)[0, 0] > 0
    return Proposal(union.to(image.device), _count_distinct(logits > 0, config.same))


@torch.no_grad()
def masks_of_boxes(
    base: SamBase, image: Float[Tensor, "3 h w"], boxes: Float[Tensor, "n 4"]
) -> Int[Tensor, "h w"]:
    """What lies in boxes, as the base's mask decoder sees it.

    Args:
        base: a SAM with trained weights, at the resolution it is used at.
        image: (3, H, W), float, RGB, in [0, 255].
        boxes: (n, 4), float, left, top, right and bottom in pixels.

    Returns:
        (H, W) int64, on the image's device: 0 is no object, i the one in box i, counted from 1.
        Where masks meet, a pixel is the one's that is surer of it. Nothing lies outside its box,
        and a box in which nothing is found is its own mask.
    """
    device = next(base.parameters()).device
    pixels, frame = letterbox(image[None].to(device), base.image_size)
    features = base.encode(pixels)
    height, width = image.shape[-2:]
    index = torch.zeros(height, width, dtype=torch.int64, device=device)
    best = torch.zeros(height, width, device=device)
    for number, box in enumerate(boxes.to(device), 1):
        logits, _ = base.predict_masks(features, boxes=(box * frame.scale)[None, None])
        found = unletterbox(logits[0], frame)[0, 0]
        left, top = (int(v) for v in box[:2].floor())
        right, bottom = (int(v) for v in box[2:].ceil())
        inside = torch.zeros_like(best, dtype=torch.bool)
        inside[top:bottom, left:right] = True
        if not (inside & (found > 0)).any():
            found = torch.where(inside, 1e-3, found)
        won = inside & (found > best)
        index[won], best[won] = number, found[won]
    return index.to(image.device)


def _objects(
    model: SamBase, features: Features, frame: Frame, config: ProposalConfig
) -> Iterator[Tensor]:
    """Logits (4g, 4g) of the masks that look like objects, one point after the other."""
    size = model.image_size
    side = 4 * model.grid
    rows, columns = (-(-length * side // size) for length in frame.scaled)
    known = torch.zeros(rows, columns, dtype=torch.bool, device=features.embedding.device)
    for points in _lattices(frame, config.points):
        cells = (points * side / size).long()
        fresh = ~known[cells[:, 1].clamp(max=rows - 1), cells[:, 0].clamp(max=columns - 1)].cpu()
        asked = points[fresh]
        for start in range(0, len(asked), config.batch):
            some = asked[start : start + config.batch]
            prompts = some.view(1, -1, 1, 2).to(known.device)
            labels = torch.ones(prompts.shape[:3], device=known.device)
            logits, iou = model.predict_sure_masks(features, prompts, labels, config.predicted_iou)
            if not len(iou):
                continue
            inside = logits[..., :rows, :columns]
            best, sure = _best_of_three(inside, iou, config)
            index = torch.arange(len(best), device=best.device)
            chosen = inside[index, best] > 0
            wanted = sure & (_is_object(chosen, config) | _is_close_up(chosen, config))
            # Surroundings need no further points either, unless they swallow nearly everything.
            settled = wanted | (sure & (_share(chosen) < config.largest))
            known |= chosen[settled].any(0)
            for number in wanted.nonzero().flatten():
                yield logits[number, best[number]]


def _lattices(frame: Frame, points: int) -> Iterator[Tensor]:
    """Points (n, 2), x then y in model-input pixels: every other one first, then those between.

    What the coarse lattice finds saves the points of the finer ones.
    """
    rows, columns = (max(1, round(points * length / frame.size)) for length in frame.scaled)
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    height, width = frame.scaled
    places = torch.stack([(x + 0.5) * width / columns, (y + 0.5) * height / rows], dim=-1)
    even = (y % 2 == 0) & (x % 2 == 0)
    odd = (y % 2 == 1) & (x % 2 == 1)
    for selection in (even, odd, ~(even | odd)):
        yield places[selection]


def _best_of_three(
    logits: Float[Tensor, "n 3 h w"], iou: Float[Tensor, "n 3"], config: ProposalConfig
) -> tuple[Int[Tensor, " n"], Bool[Tensor, " n"]]:
    """Per point, the index of its surest stable mask, and whether there is one.

    Args:
        logits: (n, 3, h, w).
        iou: (n, 3), predicted.
        config: the thresholds.
    """
    inner = (logits > 1).sum((-1, -2))
    stability = inner / (logits > -1).sum((-1, -2)).clamp(min=1)
    sure = (iou >= config.predicted_iou) & (stability >= config.stability)
    return torch.where(sure, iou, -1).argmax(dim=1), sure.any(dim=1)


def _share(masks: Bool[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    return masks.float().mean((-1, -2))


def _is_object(masks: Bool[Tensor, "n h w"], config: ProposalConfig) -> Bool[Tensor, " n"]:
    """(n,) bool for masks (n, h, w) bool that end at the image's border."""
    share = _share(masks)
    covered = masks.float()
    along = covered[:, 0].mean(1) + covered[:, :, 0].mean(1) + covered[:, :, -1].mean(1)
    return (
        (share > config.smallest)
        & (share < config.largest)
        & (along < config.border)
        & (covered[:, -1].mean(1) < config.ground)
    )


def _is_close_up(masks: Bool[Tensor, "n h w"], config: ProposalConfig) -> Bool[Tensor, " n"]:
    """(n,) bool: the subject itself fills the middle of the image."""
    height, width = masks.shape[-2:]
    middle = masks[..., height * 3 // 8 : -(-height * 5 // 8), width * 3 // 8 : -(-width * 5 // 8)]
    return (_share(middle) > 0.95) & (_share(masks) < config.close_up)


def _count_distinct(masks: Bool[Tensor, "n h w"], same: float) -> int:
    """How many of the masks (n, h, w) bool are not near-copies of a larger one."""
    flat = masks.flatten(1).float()
    flat = flat[flat.sum(1).argsort(descending=True)]
    overlap = flat @ flat.t()
    area = flat.sum(1)
    iou = overlap / (area[:, None] + area[None] - overlap)
    distinct: list[int] = []
    for index in range(len(flat)):
        if not distinct or float(iou[index, distinct].max()) <= same:
            distinct.append(index)
    return len(distinct)
