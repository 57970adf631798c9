"""Masks that Python callers hold: numpy, Pillow and torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from unseg.errors import UnsegError
from unseg.masks.labels import LabelMap, hardened, labels_of

MaskLike = NDArray[Any] | Image.Image | Tensor


def open_mask(mask: MaskLike) -> LabelMap:
    """Labels of a mask in memory, by the rules of mask files.

    Args:
        mask: (H, W) or (1, H, W). Bool becomes 0 and 1. Whole numbers are labels; a black and
            white mask of 8 bits with soft edges is cut at half of white. Floats are labels when
            all are whole, else a soft mask in [0, 1], which is cut at one half.

    Raises:
        UnsegError: when shape, dtype or values are none of these.
    """
    if isinstance(mask, Image.Image):
        return labels_of(mask)
    values = mask.detach().cpu().numpy() if isinstance(mask, Tensor) else np.asarray(mask)
    if values.ndim == 3 and values.shape[0] == 1:
        values = values[0]
    if values.ndim != 2 or values.dtype.kind not in "buif":
        raise UnsegError(
            f"the mask has shape {tuple(values.shape)} and dtype {values.dtype}: expected (H, W) "
            "of bool, integers or floats"
        )
    if values.dtype.kind == "f":
        values = _from_floats(values)
    if values.size and values.min() < 0:
        raise UnsegError("the mask holds negative labels: expected 0 and above")
    highest = int(values.max(initial=0))
    if highest >= 1 << 31:
        raise UnsegError(f"the mask holds the label {highest}: expected labels below 2^31")
    if values.dtype == np.uint8:
        return LabelMap(hardened(values))
    # Arrays of labels are often of 32 or 64 bits for no reason; 16 are chosen.
    wide = highest > 255 or values.dtype.itemsize == 2
    return LabelMap(values.astype(np.int32), wide=wide)


def _from_floats(values: NDArray[Any]) -> NDArray[Any]:
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    if not (np.isfinite(low) and np.isfinite(high)):
        raise UnsegError("the mask holds values that are not finite: expected [0, 1] or labels")
    if (values == np.round(values)).all():
        return values.astype(np.int64)
    if low < -0.001 or high > 1.001:  # resizing and blurring overshoot a little
        raise UnsegError(
            f"the mask's floats run from {low:g} to {high:g} and are not whole: expected a soft "
            "mask in [0, 1], or whole labels"
        )
    return values > 0.5
