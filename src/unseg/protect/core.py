"""The core: a photograph and its regions to published pixels.

Pure functions on arrays. The folder pipeline, the Python object and every condition of the
evaluation protect through :func:`protect_photos`, so that what is measured is what is published.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unseg.errors import UnsegError
from unseg.images.photo import Photo, Pixels
from unseg.images.view import touched
from unseg.masks.regions import QUIET, Regions
from unseg.noise import Budget, compose, quantise
from unseg.protect import steps
from unseg.protect.judge import Judge, as_seen
from unseg.protect.noises.base import NoiseSource, without_colour
from unseg.protect.quality import row_blocks
from unseg.protect.timings import stage
from unseg.protect.view import View, view
from unseg.protect.visibility import Visibility, soften
from unseg.remarks import Remark


@dataclass(frozen=True)
class Protection:
    """The published pixels of one photograph.

    Args:
        pixels: of the photograph's shape and dtype, within the budget.
        noise: name of the noise source; None where there was nothing to protect.
        remarks: what an owner should know of the noise.
        judge: of what is seen of the photograph, where it was asked.
    """

    pixels: Pixels
    noise: str | None
    remarks: tuple[Remark, ...] = ()
    judge: Judge | None = None


def protect_photo(
    photo: Photo,
    regions: Regions,
    noises: Sequence[NoiseSource],
    budget: Budget,
    visibility: Visibility,
) -> Protection:
    """Protect one photograph; see :func:`protect_photos`."""
    return protect_photos([photo], [regions], noises, budget, visibility)[0]


def protect_photos(
    photos: Sequence[Photo],
    regions: Sequence[Regions],
    noises: Sequence[NoiseSource],
    budget: Budget,
    visibility: Visibility,
) -> list[Protection]:
    """Add noise to photographs, in one pass of the model.

    A photograph without foreground has nothing to protect and stays as it is, background noise
    included: :func:`unseg.masks.find.find_regions` says when that can be.

    Args:
        photos: the originals.
        regions: of every photograph, at its size.
        noises: asked in this order; the first that suits a photograph makes its noise.
        budget: the bound, in 8-bit steps.
        visibility: how much of it may be seen; see :func:`unseg.protect.visibility.soften`.

    Returns:
        One for every photograph. Pixels may be equal to the original's where the budget holds no
        whole step; :func:`refuse_unchanged` makes that an error.

    Raises:
        UnsegError: when noise is not finite, or no source suits a photograph.
    """
    busy = [i for i, one in enumerate(regions) if one.foreground.any()]
    with stage("view"):
        views = [view(photos[i], regions[i]) for i in busy]
    with stage("noise"):
        fields = dict(zip(busy, noise_fields(noises, views), strict=True))
    result = []
    for i, photo in enumerate(photos):
        if i not in fields:
            result.append(Protection(photo.pixels.copy(), None))
            continue
        name, field = fields.pop(i)
        foreground = regions[i].foreground
        with stage("soften"):
            soft = soften(field, as_seen(photo, photo.pixels), foreground, budget, visibility)
        with stage("compose"):
            pixels = add_noise(photo, soft.noise, foreground, budget)
        result.append(Protection(pixels, name, soft.remarks, soft.judge))
    return result


def refuse_unchanged(photo: Photo, protection: Protection, name: str) -> None:
    """Refuse an image that was to be protected and came out as it was.

    Raises:
        UnsegError: naming what would help.
    """
    if protection.noise is not None and np.array_equal(protection.pixels, photo.pixels):
        raise UnsegError(
            f"{name} came out unchanged, so it would be unprotected: raise --eps, try --visibility "
            "strong, or use a larger image"
        )


def noise_fields(noises: Sequence[NoiseSource], views: Sequence[View]) -> list[tuple[str, Tensor]]:
    """One noise field a view, as its source makes it for that kind of image.

    Images of one channel get the sum of the three noise channels, cut to [-1, 1], in each: the
    mean would leave a third of a coloured texture's strength. Regions whose code is
    :data:`~unseg.masks.regions.QUIET` get no noise.

    Args:
        noises: the first that suits a view makes its noise.
        views: of the images.

    Returns:
        The source's name and (3, h, w) for each, float, in [-1, 1], on the CPU.
    """
    chosen = [_suiting(noises, one) for one in views]
    fields: dict[int, Tensor] = {}
    for source in dict.fromkeys(chosen):
        mine = [i for i, one in enumerate(chosen) if one is source]
        fields.update(zip(mine, source.fields([views[i] for i in mine]), strict=True))
    return [(source.name, _finished(fields[i], views[i])) for i, source in enumerate(chosen)]


def _suiting(noises: Sequence[NoiseSource], shown: View) -> NoiseSource:
    for source in noises:
        if source.suits(shown):
            return source
    names = ", ".join(source.name for source in noises) or "none"
    raise UnsegError(f"no noise source suits the image (tried: {names}): add the generator")


def _finished(field: Float[Tensor, "3 h w"], shown: View) -> Float[Tensor, "3 h w"]:
    if not torch.isfinite(field).all():
        raise UnsegError("the model's noise is not finite: use other weights (--model)")
    for region, code in enumerate(shown.codes, start=1):
        if code == QUIET:
            field = field.masked_fill(torch.from_numpy(shown.index == region), 0)
    return without_colour(field) if shown.grey else field


def add_noise(
    photo: Photo,
    noise: Float[Tensor, "3 h w"],
    foreground: Bool[np.ndarray, "H W"],
    budget: Budget,
) -> Pixels:
    """Add a noise field to a photo's pixels.

    In 16-bit images a change is a whole number of steps of the range in use, 257 sample values each
    where that is all of the 16 bits. Samples outside the range move no further than others. Noise
    that ends at the mask's edge ends there at the photo's size as well.

    Args:
        photo: the original.
        noise: (3, h, w), float, in [-1, 1], of grey photos the same in all; resized bilinearly when
            smaller than the photo.
        foreground: (H, W), bool.
        budget: the bound, in 8-bit steps.

    Returns:
        Pixels of the photo's shape and dtype, within the budget.
    """
    height, width = foreground.shape
    cut = noise.shape[1:] != foreground.shape and _ends_at(noise, foreground)
    noise = noise[:1] if photo.grey else noise
    if steps.suits(photo):
        return steps.add_steps(photo.pixels, noise, foreground, budget, cut=cut)
    whole_height = noise.shape[1] == height
    noise = steps.widened(noise, width)
    result = np.empty_like(photo.pixels)
    for rows in row_blocks(height, width):
        part = noise[:, rows] if whole_height else _rows(noise, rows, height)
        image = torch.from_numpy(photo.in_steps(photo.pixels[rows]))
        image = image[None] if photo.grey else image.permute(2, 0, 1)
        mask = torch.from_numpy(foreground[rows]).float()[None, None]
        part = part * mask[0] if cut else part
        protected = compose(image[None], part[None], mask, budget)
        change = (quantise(protected, image[None], mask, budget) - image)[0] * photo.step
        moved = change.round().to(torch.int32).numpy()
        moved = moved[0] if photo.grey else moved.transpose(1, 2, 0)
        samples = (photo.pixels[rows] + moved).clip(*photo.whole)
        empty, made = photo.is_nodata(photo.pixels[rows]), photo.is_nodata(samples)
        if empty is not None and made is not None:
            samples = np.where(empty | made, photo.pixels[rows], samples)
        result[rows] = samples.astype(photo.pixels.dtype)
    return result


def _ends_at(noise: Float[Tensor, "3 h w"], foreground: Bool[np.ndarray, "H W"]) -> bool:
    """Whether noise of another size is nothing wherever there is no foreground."""
    outside = (~touched(foreground, noise.shape[1], noise.shape[2])).view(np.uint8)
    return not any(cv2.norm(plane, cv2.NORM_INF, outside) for plane in noise.numpy())


def _rows(noise: Float[Tensor, "c h w"], rows: slice, height: int) -> Float[Tensor, "c rows w"]:
    """Some rows of a field resized bilinearly to a height (pixel centres, edges repeated)."""
    above, below, share = map(torch.from_numpy, steps.row_weights(noise.shape[1], height))
    weight = share[rows]
    return noise[:, above[rows]] * (1 - weight) + noise[:, below[rows]] * weight
