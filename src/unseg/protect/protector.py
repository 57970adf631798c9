"""Protect images from Python: numpy, Pillow or torch in, the same kind out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, Literal

import numpy as np
from numpy.typing import NDArray

from unseg.errors import UnsegError
from unseg.images.photo import Photo
from unseg.masks.boxes import Boxes
from unseg.masks.labels import TARGETS, LabelMap, LabelRules, Regions, Target, find_regions
from unseg.noise import Budget, Change
from unseg.protect.apply import add_noise, noise_fields, propose, view
from unseg.protect.draw import draw_boxes
from unseg.protect.kinds import ImageLike, Kind, MaskLike, open_image, open_mask
from unseg.protect.quality import compare
from unseg.protect.sources import BoxReader, MaskProposer, NoiseSource, load_models, pick_device
from unseg.protect.visibility import DEFAULT, SIMILARITY, Visibility


@dataclass(frozen=True)
class Protected(Generic[Kind]):
    """A protected image and what was done to it.

    Args:
        image: the protected image, of the kind, size and dtype that was given.
        mask: (H, W), bool; the foreground that was used.
        mask_source: ``given``, ``proposal`` or ``whole-image`` (when the others were empty).
        change: largest change inside and outside the mask, in 8-bit steps.
        psnr: in dB; None when nothing changed.
        ssim: structural similarity; None when a side is below 11 pixels.
    """

    image: Kind
    mask: NDArray[np.bool_]
    mask_source: str
    change: Change
    psnr: float | None
    ssim: float | None


class Protector:
    """Protects images that are in memory.

    Args:
        source: makes noise, e.g. a :class:`~unseg.models.generator.NoiseGenerator`.
        proposer: finds the foreground of images without a mask.

    Example:
        Any source of noise will do; this one alternates the sign from column to column.

        >>> import torch
        >>> class Stripes:
        ...     model_id, sha256 = "stripes", "0" * 64
        ...     def noise(self, image, masks):
        ...         sign = torch.arange(image.shape[-1]) % 2 * 2.0 - 1
        ...         return sign.expand(len(masks), *image.shape)
        >>> protector = Protector(Stripes())
        >>> image = np.full((32, 32, 3), (100, 94, 90), np.uint8)
        >>> mask = np.zeros((32, 32), bool)
        >>> mask[8:24, 8:24] = True
        >>> result = protector.protect(image, mask, Budget(8, 2), visibility="strong")
        >>> result.image[16, 7:11, 0].tolist(), result.change
        ([102, 92, 108, 92], Change(inside=8.0, outside=2.0))

        With the weights that ship with the package::

            protector = unseg.Protector.from_pretrained()
            result = protector.protect(Image.open("photo.jpg"))
            result.image.save("photo.png")
    """

    def __init__(self, source: NoiseSource, proposer: MaskProposer | None = None) -> None:
        self.source, self.proposer = source, proposer

    def __repr__(self) -> str:
        return f"Protector(model={self.source.model_id!r})"

    @classmethod
    def from_pretrained(
        cls, name_or_path: str = "default", device: str = "auto", salience: str = "default"
    ) -> Protector:
        """Load a generator.

        Args:
            name_or_path: ``default``, the name of a shipped model or a ``.safetensors`` file.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
            salience: what finds the foreground where no mask is given: ``default``, ``none`` (the
                base's own proposals) or a file written by ``unseg train-salience``.

        Raises:
            UnsegError: when the model or the device is not there.
        """
        return cls(*load_models(name_or_path, pick_device(device), salience))

    def protect(
        self,
        image: Kind,
        mask: MaskLike | None = None,
        budget: Budget = Budget(),
        target: Target = "union",
        visibility: Visibility = DEFAULT,
        background: Literal[0] | None = 0,
        silent: Sequence[int] | None = None,
    ) -> Protected[Kind]:
        """Protect one image.

        Args:
            image: numpy (H, W, 3), (H, W, 4) or (H, W) of uint8 or uint16; a Pillow image, whose
                EXIF orientation is applied; or torch (3, H, W) or (1, H, W), uint8 in [0, 255] or
                float in [0, 1] (in [0, 255] when a value is above 1).
            mask: (H, W) numpy, torch or Pillow; bool, or labels with 0 as background and, in 8-bit
                maps, 255 as void (foreground when there are only 0 and 255). None to take what
                stands out.
            budget: how far a pixel may move, in 8-bit steps.
            target: one prompt for the union of the foreground, one a label (``class``), or one an
                instance, composed region by region.
            visibility: ``low``, ``normal`` or ``strong``: how much of the bound is used where the
                noise would be seen most (:func:`unseg.protect.visibility.soften`).
            background: the label that is background; None when every label is a class.
            silent: with ``class``, the labels that carry no noise, while the others share one
                texture. None gives every class a texture of its own, and label 0 none where
                every label is a class: one image is too few to choose from.

        Returns:
            The image, of the same kind, with mask and figures. Saving it in a lossy format breaks
            the bound.

        Raises:
            UnsegError: when image or mask have a wrong shape, dtype or size, or nothing changed.
        """
        for name, value, known in (
            ("target", target, TARGETS), ("visibility", visibility, tuple(SIMILARITY)),
        ):  # fmt: skip
            if value not in known:
                raise UnsegError(f"{name}={value!r}: expected one of {', '.join(known)}")
        rules = LabelRules(
            target=target, background=background, silent=None if silent is None else tuple(silent)
        )
        photo, restore = open_image(image)
        regions, origin = self._regions(photo, mask, rules)
        if not regions.foreground.any():
            regions = Regions.union(np.ones(regions.foreground.shape, bool))
            origin = "whole-image"
        noise = noise_fields(self.source, [view(photo, regions)], budget, visibility)[0]
        after = replace(photo, pixels=add_noise(photo, noise, regions.foreground, budget))
        quality = compare(photo, after, regions.foreground)
        return Protected(
            restore(after), regions.foreground, origin, quality.change, quality.psnr, quality.ssim
        )

    def mask_of_boxes(
        self, image: ImageLike, boxes: Sequence[tuple[float, float, float, float]]
    ) -> NDArray[np.uint16]:
        """What lies in boxes, for :meth:`protect`'s ``mask``.

        Args:
            image: as for :meth:`protect`.
            boxes: left, top, right and bottom of each, in pixels of the image as it is shown.

        Returns:
            (H, W): 0, or the number of the box, from 1, whose object a pixel is of.

        Raises:
            UnsegError: when a box covers no pixel, or this protector's proposer cannot read boxes.
        """
        if not isinstance(self.proposer, BoxReader):
            raise UnsegError("there is no proposer that reads boxes: use Protector.from_pretrained")
        corners = np.asarray(boxes, np.float32)
        if corners.ndim != 2 or corners.shape[1] != 4 or not np.isfinite(corners).all():
            raise UnsegError(
                f"the boxes have shape {corners.shape}: expected one or more of left, top, right, "
                "bottom, all finite"
            )
        labels = np.arange(1, len(corners) + 1, dtype=np.int32)
        given = Boxes(corners, labels, False, "the boxes")
        return draw_boxes(open_image(image)[0], given, self.proposer).astype(np.uint16)

    def _regions(
        self, photo: Photo, mask: MaskLike | None, rules: LabelRules
    ) -> tuple[Regions, str]:
        if mask is not None:
            labels = open_mask(mask)
            if labels.size != photo.size:
                raise UnsegError(
                    "the mask is {}x{} but the image is {}x{}: masks must have the image's "
                    "size".format(*labels.size, *photo.size)
                )
            return find_regions(labels, rules), "given"
        if self.proposer is None:
            raise UnsegError("no mask was given and there is no proposer: pass mask=...")
        found = propose(photo, self.proposer).mask
        return find_regions(
            LabelMap(found.astype(np.int32)), LabelRules(target=rules.target)
        ), "proposal"
