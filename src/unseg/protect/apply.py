"""Noise onto pixels: one noise field from the regions' prompts, composed block by block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from unseg.errors import UnsegError
from unseg.images.photo import Photo, Pixels
from unseg.masks.labels import QUIET, Regions
from unseg.noise import Budget, compose, quantise
from unseg.protect.quality import row_blocks
from unseg.protect.sources import BatchedNoiseSource, MaskProposer, NoiseSource, Proposal
from unseg.protect.tint import is_colourless, tint
from unseg.protect.visibility import Visibility, soften

#: Long side, in pixels, above which the model sees a smaller copy. The noise itself lives on a
#: grid a quarter of the model's input (256 for 1024), so nothing is lost; memory is saved.
MODEL_VIEW = 2048
#: Noise values held at once: 48 million floats are 192 MB.
MAX_VALUES = 48_000_000


@dataclass(frozen=True)
class View:
    """What the model is shown.

    Args:
        image: (3, h, w), float, in [0, 255].
        foreground: (h, w), bool.
        index: (h, w), uint8; see :class:`~unseg.masks.labels.Regions`.
        codes: of the regions; see there.
        grey: whether the image has one channel, shown as three.
    """

    image: Tensor
    foreground: NDArray[np.bool_]
    index: NDArray[np.uint8]
    codes: tuple[int, ...] = ()
    grey: bool = False

    @property
    def count(self) -> int:
        """Number of regions."""
        return len(self.codes)

    @property
    def values(self) -> int:
        """Noise values of all prompts together."""
        return 3 * self.foreground.size * (1 + self.count)


def model_image(photo: Photo) -> Tensor:
    """The photo as a model's input: (3, h, w), float, in [0, 255], long side at most 2048."""
    pixels = photo.pixels
    longest = max(photo.size)
    if longest > MODEL_VIEW:
        width, height = (max(1, round(side * MODEL_VIEW / longest)) for side in photo.size)
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    values = torch.from_numpy(pixels.astype(np.float32)) / photo.step
    return values.expand(3, -1, -1) if photo.grey else values.permute(2, 0, 1).contiguous()


def view(photo: Photo, regions: Regions) -> View:
    """Photo and regions at the size the model is shown."""
    image = model_image(photo)
    height, width = image.shape[1:]

    index = regions.index
    if index.shape != (height, width):
        index = np.asarray(cv2.resize(index, (width, height), interpolation=cv2.INTER_NEAREST))
    foreground = _touched(regions.foreground, height, width)
    return View(image, foreground, index, regions.codes, photo.grey)


def _touched(mask: NDArray[np.bool_], height: int, width: int) -> NDArray[np.bool_]:
    """A mask at a smaller size: every pixel in which there is some of it, thin parts too."""
    if mask.shape == (height, width):
        return mask
    full = mask.view(np.uint8) * np.uint8(255)
    return np.asarray(cv2.resize(full, (width, height), interpolation=cv2.INTER_AREA)) > 0


def propose(photo: Photo, proposer: MaskProposer) -> Proposal:
    """Propose the foreground of a photo, at the photo's size."""
    found = proposer.propose(model_image(photo))
    return replace(found, mask=at_photo_size(found.mask.view(np.uint8), photo) > 0)


def at_photo_size(values: NDArray[Any], photo: Photo) -> NDArray[Any]:
    """A map (h, w) of :func:`model_image`'s size at the photo's, without mixing values."""
    if values.shape == photo.pixels.shape[:2]:
        return values
    return np.asarray(cv2.resize(values, photo.size, interpolation=cv2.INTER_NEAREST))


def noise_fields(
    source: NoiseSource, views: Sequence[View], budget: Budget, visibility: Visibility
) -> list[Tensor]:
    """One noise field a view, made as hard to see as is asked.

    Region r's pixels get the noise of region r's prompt, all others that of the union's. Images
    of three channels without colour are tinted instead (:mod:`unseg.protect.tint`). Those of one
    channel get the sum of the three noise channels, cut to [-1, 1], in each: the mean would leave
    a third of a coloured texture's strength.

    Args:
        source: makes the noise.
        views: of the images.
        budget: the bound that the noise will be scaled to, in 8-bit steps.
        visibility: see :func:`unseg.protect.visibility.soften`.

    Returns:
        (3, h, w) each, float, in [-1, 1], on the CPU.
    """
    tinted = [not one.grey and is_colourless(one.image) for one in views]
    made = iter(_full_fields(source, [v for v, t in zip(views, tinted, strict=True) if not t]))
    fields = [
        tint(one.foreground, one.index, one.codes) if plain else next(made)
        for one, plain in zip(views, tinted, strict=True)
    ]
    for field, one in zip(fields, views, strict=True):
        for region, code in enumerate(one.codes, start=1):
            if code == QUIET:
                field[:, torch.from_numpy(one.index == region)] = 0
    fields = [_one_channel(f) if v.grey else f for f, v in zip(fields, views, strict=True)]
    return [
        soften(field, one.image, torch.from_numpy(one.foreground), budget, visibility)
        for field, one in zip(fields, views, strict=True)
    ]


def _one_channel(field: Tensor) -> Tensor:
    return field.sum(dim=0, keepdim=True).clamp(-1, 1).expand(3, -1, -1).clone()


def _full_fields(source: NoiseSource, views: Sequence[View]) -> list[Tensor]:
    if (
        len(views) > 1
        and isinstance(source, BatchedNoiseSource)
        and sum(one.values for one in views) <= MAX_VALUES
    ):
        prompts = [_prompts(one, range(1 + one.count)) for one in views]
        codes = [(0, *one.codes) for one in views]
        made = source.noise_batch([one.image for one in views], prompts, codes)
        fields = [noise[0].clone() for noise in made]
        for one, noise, field in zip(views, made, fields, strict=True):
            _paste(field, one, range(1 + one.count), noise)
        return fields
    return [_noise_field(source, one) for one in views]


def _noise_field(source: NoiseSource, one: View) -> Tensor:
    """Noise of one view, as many prompts at a time as memory allows."""
    many = max(1, MAX_VALUES // (3 * one.foreground.size))
    field: Tensor | None = None
    for start in range(0, 1 + one.count, many):
        numbers = range(start, min(1 + one.count, start + many))
        codes = (0, *one.codes)[numbers.start : numbers.stop]
        prompts = _prompts(one, numbers)
        # A source that knows nothing of codes serves unions.
        made = source.noise(one.image, prompts, codes) if any(codes) else source.noise(
            one.image, prompts
        )  # fmt: skip
        noise = made.float().cpu()
        field = noise[0].clone() if field is None else field
        _paste(field, one, numbers, noise)
    assert field is not None
    return field


def _prompts(one: View, numbers: range) -> Tensor:
    """(n, h, w) bool; prompt 0 is the union, prompt r region r."""
    masks = [one.foreground if r == 0 else one.index == r for r in numbers]
    return torch.from_numpy(np.stack(masks))


def _paste(field: Tensor, one: View, numbers: range, noise: Tensor) -> None:
    for r, values in zip(numbers, noise, strict=True):
        if r > 0:
            here = torch.from_numpy(one.index == r)
            field[:, here] = values[:, here].to(field)


def add_noise(
    photo: Photo, noise: Tensor, foreground: NDArray[np.bool_], budget: Budget, name: str = "image"
) -> Pixels:
    """Add a noise field to a photo's pixels.

    In 16-bit images a change is a whole number of 8-bit steps, 257 sample values each. Noise that
    ends at the mask's edge ends there at the photo's size as well.

    Args:
        photo: the original.
        noise: (3, h, w), float, in [-1, 1], of grey photos the same in all; resized bilinearly when
            smaller than the photo.
        foreground: (H, W), bool.
        budget: the bound, in 8-bit steps.
        name: what to call the image in messages.

    Returns:
        Pixels of the photo's shape and dtype, within the budget.

    Raises:
        UnsegError: when the noise is not finite, or no pixel changed.
    """
    height, width = foreground.shape
    if not torch.isfinite(noise).all():
        raise UnsegError(f"{name}: the model's noise is not finite: use other weights (--model)")
    cut = noise.shape[1:] != foreground.shape and _ends_at(noise, foreground)
    whole_height = noise.shape[1] == height
    if noise.shape[2] != width:
        noise = F.interpolate(noise[None], (noise.shape[1], width), mode="bilinear")[0]
    result = np.empty_like(photo.pixels)
    for rows in row_blocks(height, width):
        part = noise[:, rows] if whole_height else _rows(noise, rows, height)
        image = torch.from_numpy(photo.pixels[rows].astype(np.float32)) / photo.step
        image = image[None] if photo.grey else image.permute(2, 0, 1)
        part = part[:1] if photo.grey else part
        mask = torch.from_numpy(foreground[rows]).float()[None, None]
        part = part * mask[0] if cut else part
        protected = compose(image[None], part[None], mask, budget)
        values = quantise(protected, image[None], mask, budget)[0] * photo.step
        samples = values.round().numpy().astype(photo.pixels.dtype)
        result[rows] = samples[0] if photo.grey else samples.transpose(1, 2, 0)
    if np.array_equal(result, photo.pixels):
        raise UnsegError(
            f"{name} came out unchanged, so it would be unprotected: raise --eps, try --visibility "
            "strong, or use a larger image"
        )
    return result


def _ends_at(noise: Tensor, foreground: NDArray[np.bool_]) -> bool:
    """Whether noise of another size is nothing wherever there is no foreground."""
    outside = torch.from_numpy(~_touched(foreground, noise.shape[1], noise.shape[2]))
    return not noise[:, outside].any()


def _rows(noise: Tensor, rows: slice, height: int) -> Tensor:
    """Some rows of a field resized bilinearly to a height (pixel centres, edges repeated)."""
    low = noise.shape[1]
    at = (torch.arange(rows.start, rows.stop) + 0.5) * (low / height) - 0.5
    at = at.clamp(0, low - 1)
    above = at.floor().long()
    below = (above + 1).clamp(max=low - 1)
    weight = (at - above)[:, None]
    return noise[:, above] * (1 - weight) + noise[:, below] * weight
