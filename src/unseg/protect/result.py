"""What protecting an image in memory gives back."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from unseg.errors import UnsegError
from unseg.files import AnyPath, write_atomically
from unseg.images.arrays import Kind, open_image
from unseg.images.formats import format_of
from unseg.images.reader import rgb_of
from unseg.images.writer import JPEG_QUALITY, encode
from unseg.noise import Change
from unseg.protect.judge import words_of

#: Long side of the thumbnails that a notebook shows, in pixels.
THUMBNAIL = 320


@dataclass(frozen=True, repr=False)
class Protected(Generic[Kind]):
    """A protected image and what was done to it.

    Args:
        image: the protected image, of the kind, size and dtype that was given.
        mask: (H, W), bool; the foreground that was used.
        mask_source: name of the mask source: ``given``, ``salient``, ``proposed``,
            ``whole-image``, or one of one's own.
        notes: what an owner should know of image and mask.
        warnings: what may mean that the wrong thing was protected.
        noise: name of the noise source; None when the mask has no foreground, so that the image
            is as it was.
        change: largest change inside and outside the mask, in 8-bit steps.
        psnr: in dB; None when nothing changed.
        ssim: structural similarity; None when a side is below 11 pixels.
        visibility_score: SSIMULACRA2 of a crop around the mask, at most 100, which is no
            difference; :attr:`seen` says it in words.
    """

    image: Kind
    mask: NDArray[np.bool_]
    mask_source: str
    notes: list[str]
    warnings: list[str]
    noise: str | None
    change: Change
    psnr: float | None
    ssim: float | None
    visibility_score: float

    @property
    def seen(self) -> str:
        """What people see of the noise, in words; see :func:`unseg.protect.judge.words_of`."""
        return words_of(self.visibility_score)

    def save(self, path: AnyPath, *, quality: int = JPEG_QUALITY) -> None:
        """Write the image to a file, with a Pillow image's EXIF data, profile and density.

        Args:
            path: its suffix says the format: PNG, WebP and TIFF without loss, or JPEG, in which
                no colour is stored smaller (4:4:4) but the bound may be passed a little. A file
                that is there is replaced.
            quality: of JPEG.

        Raises:
            UnsegError: when the suffix is another, or the format cannot hold the image.
        """
        target = Path(path)
        kind = format_of(target.suffix)
        if kind is None or kind.name not in {"PNG", "WEBP", "TIFF", "JPEG"}:
            raise UnsegError(f"{target}: expected a name ending in .png, .webp, .tif or .jpg")
        photo, _ = open_image(self.image)
        write_atomically(target, encode(photo, kind.name, target.name, quality))

    def __repr__(self) -> str:
        height, width = self.mask.shape
        return f"Protected({type(self.image).__name__} {width}x{height}, {self._figures()})"

    def _figures(self) -> str:
        where = f"mask {self.mask.mean():.0%} ({self.mask_source})"
        if self.noise is None:
            return f"{where}, left as it is"
        psnr = "" if self.psnr is None else f", {self.psnr:.1f} dB"
        change = f"change {self.change.inside:g}/{self.change.outside:g} steps"
        return f"{where}, {change}{psnr}, {self.seen} ({self.visibility_score:.0f})"

    def _repr_html_(self) -> str:
        """Thumbnails of image and mask with the figures, for notebooks."""
        photo, _ = open_image(self.image)
        pixels = photo.pixels if photo.bits == 8 else rgb_of(photo)
        pictures = "".join(
            f'<img alt="{alt}" src="data:image/png;base64,{_thumbnail(array)}" '
            'style="margin-right:8px">'
            for alt, array in (("protected image", pixels), ("mask", self.mask))
        )
        return f"<div>{pictures}<br>{html.escape(self._figures())}</div>"


class ProtectedBatch(list[Protected[Any]]):
    """Several protected images, in the order in which they were given.

    Args:
        results: one an image.
        stacked: whether they came as one array, so that :attr:`images` is one, too.
    """

    def __init__(self, results: Iterable[Protected[Any]], *, stacked: bool) -> None:
        super().__init__(results)
        self._stacked = stacked

    @property
    def images(self) -> Any:
        """The protected images: (N, 3, H, W) or (N, H, W, 3) when they came so, else a list."""
        images = [result.image for result in self]
        if not self._stacked:
            return images
        return torch.stack(images) if isinstance(images[0], Tensor) else np.stack(images)

    def __repr__(self) -> str:
        protected = sum(result.noise is not None for result in self)
        return f"ProtectedBatch({len(self)} images, {protected} protected)"

    def _repr_html_(self) -> str:
        return "".join(result._repr_html_() for result in self)


def _thumbnail(array: NDArray[Any]) -> str:
    picture = Image.fromarray(array)
    if picture.mode == "1":
        picture = picture.convert("L")
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()
