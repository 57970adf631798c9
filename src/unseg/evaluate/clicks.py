"""Clicks of a simulated user, and how the masks they give are measured."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def largest_component(mask: Mask) -> Mask:
    """The largest connected piece (8 neighbours) of a mask; the mask itself where it is empty."""
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count < 2:
        return mask
    return np.asarray(pieces == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()))


def centre(mask: Mask) -> tuple[int, int]:
    """(x, y) of the pixel that lies deepest inside a mask; the image's edge counts as a border.

    Example:
        >>> mask = np.zeros((5, 7), bool)
        >>> mask[1:4, 2:5] = True
        >>> centre(mask)
        (3, 2)
    """
    deep = depth(mask)
    row, column = np.unravel_index(int(deep.argmax()), deep.shape)
    return int(column), int(row)


def depth(mask: Mask) -> NDArray[np.float32]:
    """(H, W) distance of every pixel of a mask to its border, which the image's edge is, too."""
    padded = np.pad(mask, 1).astype(np.uint8)
    found = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(found[1:-1, 1:-1], dtype=np.float32)


def next_click(found: Mask, truth: Mask) -> tuple[int, int, int] | None:
    """Where a user corrects a mask: the centre of the largest wrong piece.

    Returns:
        (x, y, label), label 1 where the object is missing and 0 where there is too much; None when
        nothing is wrong.

    Example:
        >>> truth = np.zeros((6, 6), bool)
        >>> truth[1:4, 1:4] = True
        >>> next_click(np.zeros_like(truth), truth), next_click(np.ones_like(truth), truth)[2]
        ((2, 2, 1), 0)
    """
    missing, surplus = largest_component(truth & ~found), largest_component(found & ~truth)
    if not missing.any() and not surplus.any():
        return None
    positive = int(missing.sum()) >= int(surplus.sum())
    return (*centre(missing if positive else surplus), int(positive))


def boundary(mask: Mask, ratio: float = 0.02) -> Mask:
    """A mask's pixels within a distance of its border, as boundary IoU counts them.

    Args:
        mask: (H, W).
        ratio: the distance as a share of the image's diagonal; at least one pixel.
    """
    width = max(1, round(ratio * float(np.hypot(*mask.shape))))
    padded = np.pad(mask, 1).astype(np.uint8)
    inner = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1]
    return mask & (inner == 0)


def iou(found: Mask, truth: Mask) -> float:
    """Intersection over union; 1 where both are empty.

    Example:
        >>> iou(np.array([1, 1, 0], bool), np.array([0, 1, 1], bool))
        0.3333333333333333
    """
    union = int((found | truth).sum())
    return int((found & truth).sum()) / union if union else 1.0


def boundary_iou(found: Mask, truth: Mask, ratio: float = 0.02) -> float:
    """Boundary IoU (Cheng et al., arXiv 2103.16562): :func:`iou` of the two boundaries."""
    return iou(boundary(found, ratio), boundary(truth, ratio))


def core(mask: Mask) -> Mask:
    """The pixels at least half as deep inside a mask as its centre: where a user clicks first."""
    deep = depth(mask)
    return mask & (deep >= deep.max() / 2)
