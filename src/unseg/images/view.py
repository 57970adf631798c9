"""What a model is shown of a photograph, and the way back to the photograph's size."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from unseg.images.photo import Photo

#: Long side, in pixels, above which the model sees a smaller copy. The noise itself lives on a
#: grid a quarter of the model's input (256 for 1024), so nothing is lost; memory is saved.
MODEL_VIEW = 2048


def model_image(photo: Photo) -> Float[Tensor, "3 h w"]:
    """The photo as a model's input: (3, h, w), float, in [0, 255], long side at most 2048."""
    pixels = photo.pixels
    longest = max(photo.size)
    if longest > MODEL_VIEW:
        width, height = (max(1, round(side * MODEL_VIEW / longest)) for side in photo.size)
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    plain = photo.bits == 8 and (photo.low, photo.step) == (0, 1)
    if plain and not photo.grey:  # a plane at a time: the turned copy is made once
        return torch.from_numpy(np.stack([one.astype(np.float32) for one in cv2.split(pixels)]))
    values = torch.from_numpy(photo.in_steps(pixels))
    return values.expand(3, -1, -1) if photo.grey else values.permute(2, 0, 1).contiguous()


def at_photo_size(values: NDArray[Any], photo: Photo) -> NDArray[Any]:
    """A map (h, w) of :func:`model_image`'s size at the photo's, without mixing values."""
    if values.shape == photo.pixels.shape[:2]:
        return values
    return np.asarray(cv2.resize(values, photo.size, interpolation=cv2.INTER_NEAREST))


def touched(
    mask: Bool[np.ndarray, "H W"], height: int, width: int
) -> Bool[np.ndarray, "{height} {width}"]:
    """A mask at a smaller size: every pixel in which there is some of it, thin parts too."""
    if mask.shape == (height, width):
        return mask
    full = mask.view(np.uint8) * np.uint8(255)
    return np.asarray(cv2.resize(full, (width, height), interpolation=cv2.INTER_AREA)) > 0
