"""Mask classification: queries with a class and a mask each, read as any kind of segmentation.

Cheng et al., *Per-Pixel Classification is Not All You Need for Semantic Segmentation*, NeurIPS
2021, sections 3.4 and 4; *Masked-attention Mask Transformer*, CVPR 2022.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from unseg.evaluate.problem import Instances, Kind, Panoptic, Prediction
from unseg.evaluate.victims.objects import Objects, mask_boxes
from unseg.evaluate.victims.query import QueryVictim
from unseg.models.geometry import Frame, unletterbox

DETECTIONS = 100
"""Most objects in an answer, as COCO counts them."""


class MaskQueryVictim(QueryVictim):
    """Hook: :meth:`build`, a model whose output has class and mask logits of queries."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({"semantic", "instance", "panoptic"})

    def labels(self, objects: list[Objects]) -> dict[str, Any]:
        return {
            "class_labels": [one.classes for one in objects],
            "mask_labels": [one.masks for one in objects],
        }

    def answer(self, found: Any, frame: Frame) -> Prediction:
        classes = found.class_queries_logits[0].float().cpu().softmax(-1)
        masks = unletterbox(found.masks_queries_logits.float().cpu(), frame)[0]
        if self._problem.kind == "semantic":
            return semantic(classes, masks)
        if self._problem.kind == "panoptic":
            return panoptic(classes, masks, self._problem.things)
        return instances(classes, masks)


def semantic(classes: Tensor, masks: Tensor) -> Tensor:
    """Every pixel to the class that its queries vote for.

    Args:
        classes: (n, C + 1) float, probabilities; the last is of no object.
        masks: (n, H, W) float logits.

    Returns:
        (H, W) int64.
    """
    return torch.einsum("nc,nhw->chw", classes[:, :-1], masks.sigmoid()).argmax(0)


def instances(classes: Tensor, masks: Tensor) -> Instances:
    """Every query as an object of every class: its score is class times mask confidence.

    Args:
        classes: (n, C + 1) float, probabilities; the last is of no object.
        masks: (n, H, W) float logits.

    Returns:
        The best ``DETECTIONS`` of them, without empty masks.
    """
    count = classes.shape[1] - 1
    best = classes[:, :-1].flatten().topk(min(DETECTIONS, len(classes) * count))
    queries, categories = best.indices // count, best.indices % count
    inside = masks > 0
    sure = (masks.sigmoid() * inside).sum((1, 2)) / inside.sum((1, 2)).clamp(min=1)
    scores = best.values * sure[queries]
    kept = inside.any(2).any(1)[queries]
    queries = queries[kept]
    shapes = inside[queries]
    return Instances(mask_boxes(shapes), scores[kept], categories[kept], shapes)


def panoptic(
    classes: Tensor,
    masks: Tensor,
    things: frozenset[int],
    *,
    confident: float = 0.5,
    overlap: float = 0.8,
) -> Panoptic:
    """Every pixel to one query; queries that are unsure or mostly hidden get none.

    Args:
        classes: (n, C + 1) float, probabilities; the last is of no object.
        masks: (n, H, W) float logits.
        things: the classes of which every query is a segment of its own.
        confident: least class probability of a query that counts.
        overlap: least share of its own mask that a query must win.
    """
    scores, categories = classes.max(-1)
    kept = (categories < classes.shape[1] - 1) & (scores > confident)
    scores, categories, shapes = scores[kept], categories[kept], masks[kept].sigmoid()
    segments = torch.zeros(masks.shape[1:], dtype=torch.int64)
    found: list[int] = []
    if len(scores):
        winner = (scores[:, None, None] * shapes).argmax(0)
        stuff: dict[int, int] = {}
        for query, category in enumerate(categories.tolist()):
            whole = shapes[query] >= 0.5
            won = (winner == query) & whole
            if not won.any() or won.sum() < overlap * whole.sum():
                continue
            if category in stuff:
                segments[won] = stuff[category]
                continue
            found.append(category)
            segments[won] = len(found)
            if category not in things:
                stuff[category] = len(found)
    return Panoptic(segments, torch.tensor(found, dtype=torch.int64))
