"""Masks that Python callers hold: numpy, Pillow and torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from unseg.errors import UnsegError
from unseg.masks.colours import labels_of_colours
from unseg.masks.labelmap import LabelMap
from unseg.masks.labels import labels_of, labels_of_floats, labels_of_integers

MaskLike = NDArray[Any] | Image.Image | Tensor


def open_mask(mask: MaskLike) -> LabelMap:
    """Labels of a mask in memory, by the rules of mask files.

    Args:
        mask: (H, W), (1, H, W) or (H, W, 1). Bool becomes 0 and 1. Whole numbers are labels; a
            black and white mask with soft edges is cut at half of white. Floats are labels when
            all are whole, else a soft mask in [0, 1], which is cut at one half. Colour, read as
            files are, is (H, W, 3) or (H, W, 4), RGB of uint8; of tensors (3, H, W) or (4, H, W).

    Raises:
        UnsegError: when shape, dtype or values are none of these.
    """
    if isinstance(mask, Image.Image):
        return labels_of(mask)
    values = mask.detach().cpu().numpy() if isinstance(mask, Tensor) else np.asarray(mask)
    if values.ndim == 3 and values.shape[0] == 1:
        values = values[0]
    elif values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    elif values.ndim == 3 and isinstance(mask, Tensor) and values.shape[0] in {3, 4}:
        values = values.transpose(1, 2, 0)
    if values.ndim == 3 and values.shape[2] in {3, 4} and values.dtype == np.uint8:
        alpha = np.ascontiguousarray(values[..., 3]) if values.shape[2] == 4 else None
        return labels_of_colours(values[..., :3], "the mask", alpha)
    if values.ndim != 2 or values.dtype.kind not in "buif":
        raise UnsegError(
            f"the mask has shape {tuple(values.shape)} and dtype {values.dtype}: expected (H, W) "
            "of bool, integers or floats, or RGB of uint8"
        )
    if values.dtype.kind == "f":
        return labels_of_floats(values)
    return labels_of_integers(values)
