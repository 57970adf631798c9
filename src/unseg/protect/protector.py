"""Protect images from Python: numpy, Pillow or torch in, the same kind out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from unseg.errors import UnsegError
from unseg.images.arrays import ImageLike, Kind, Restore, open_image
from unseg.images.photo import Photo
from unseg.images.ranges import RangeChoice
from unseg.key import Key, owner_key
from unseg.masks.among import is_label_map, is_photograph, refusal
from unseg.masks.arrays import MaskLike, open_mask
from unseg.masks.boxes import Boxes
from unseg.masks.clicks import Clicks, find_clicked
from unseg.masks.colourcodes import colours_of
from unseg.masks.find import FoundRegions, find_regions
from unseg.masks.labels import LabelMap
from unseg.masks.regions import Target
from unseg.masks.sources import DEFAULT_FIND, MaskSource, load_sources
from unseg.masks.sources.boxes import draw_boxes
from unseg.masks.sources.given import GivenMask
from unseg.models.loaded import Models
from unseg.models.sam.base import SamBase
from unseg.noise import Budget
from unseg.protect.core import Protection, protect_photo, refuse_unchanged
from unseg.protect.noises import DEFAULT_NOISES, NoiseSource, load_noises
from unseg.protect.origin import Origin
from unseg.protect.pipeline import model_id
from unseg.protect.quality import compare
from unseg.protect.result import Protected, ProtectedBatch
from unseg.protect.settings import Settings, Silent
from unseg.protect.silence import cells_of_photo, choose_silent, embedder_of, spread
from unseg.protect.visibility import Visibility
from unseg.remarks import texts

DEFAULTS = Settings()
"""The defaults that the command line has as well."""


@dataclass(frozen=True)
class _Opened:
    """An image of a call, ready to be protected."""

    photo: Photo
    restore: Restore
    labels: LabelMap | None
    name: str


class Protector:
    """Protects images that are in memory.

    Args:
        noises: what makes the noise, asked in order, e.g. :class:`~unseg.protect.noises.tint.Tint`
            and :class:`~unseg.protect.noises.generator.GeneratorNoise`.
        sources: what finds the foreground of images without a mask, asked in order.
        base: the SAM that :meth:`mask_of_boxes` and :meth:`mask_of_points` ask.

    Example:
        Any source of noise will do; this one alternates the sign from column to column.

        >>> import torch
        >>> class Stripes(NoiseSource):
        ...     name, summary = "stripes", "upright stripes"
        ...     def fields(self, views):
        ...         signs = [torch.arange(v.image.shape[-1]) % 2 * 2.0 - 1 for v in views]
        ...         return [s.expand(v.image.shape) for s, v in zip(signs, views)]
        >>> protector = Protector([Stripes()])
        >>> image = np.full((32, 32, 3), (100, 94, 90), np.uint8)
        >>> mask = np.zeros((32, 32), bool)
        >>> mask[8:24, 8:24] = True
        >>> result = protector.protect(image, mask, visibility="strong")
        >>> result.image[16, 7:11, 0].tolist(), result.change
        ([102, 92, 108, 92], Change(inside=8.0, outside=2.0))

        With the weights that ship with the package::

            protector = unseg.Protector.from_pretrained()
            result = protector.protect(Image.open("photo.jpg"))
            result.save("photo.png")

        It can be pickled, for the processes of loaders and of ``datasets.map``: what it was loaded
        from travels, with the key, and the models are loaded there. So keep pickles to yourself.
    """

    def __init__(
        self,
        noises: Sequence[NoiseSource],
        sources: Sequence[MaskSource] = (),
        base: SamBase | None = None,
    ) -> None:
        self.noises, self.sources, self.base = list(noises), list(sources), base
        self._origin: tuple[Origin, dict[str, Any]] | None = None

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle what the models are loaded from, not the models, as long as both are the same."""
        if self._origin is None or self._parts() != self._origin[1]:
            return super().__reduce_ex__(protocol)
        return type(self)._arrived, (self._origin[0],)

    def _parts(self) -> dict[str, Any]:
        """All that makes this protector what it is, to see whether it was changed."""
        kept = {name: value for name, value in vars(self).items() if name != "_origin"}
        return {name: tuple(v) if isinstance(v, list) else v for name, v in kept.items()}

    @classmethod
    def _arrived(cls, origin: Origin) -> Self:
        return cls._loaded(origin, origin.load())

    @classmethod
    def _loaded(cls, origin: Origin, models: Models) -> Self:
        noises = load_noises(origin.noises, models)
        made = cls(noises, load_sources(origin.find, models), models.base)
        made._origin = origin, made._parts()
        return made

    def __repr__(self) -> str:
        return f"Protector(model={model_id(self.noises)!r})"

    @classmethod
    def from_pretrained(
        cls,
        model: str = DEFAULTS.model,
        device: str = DEFAULTS.device,
        salience: str = DEFAULTS.salience,
        find: Sequence[str] = DEFAULT_FIND,
        noises: Sequence[str] = DEFAULT_NOISES,
        key: Key | Path | str | None = None,
    ) -> Self:
        """Load a generator.

        Args:
            model: ``default``, the name of a shipped model or a ``.safetensors`` file.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
            salience: the head that finds what stands out: ``default``, ``none`` or a file written
                by ``unseg train-salience``.
            find: what finds the foreground where no mask is given, in this order.
            noises: what makes the noise, the first that suits an image.
            key: the secret that the noise follows from, or its file; None is the owner's own, see
                :func:`unseg.key.owner_key`, which is made at first use.

        Raises:
            UnsegError: when the model, the device or a usable key is not there.
        """
        given = Path(key) if isinstance(key, str) else key
        secret = owner_key(given).key
        loaded = Models(model, salience, device, secret)
        origin = Origin.of(loaded, device, tuple(find), tuple(noises), secret)
        return cls._loaded(origin, loaded)

    @overload
    def protect(
        self, image: list[Kind], mask: Sequence[MaskLike | None] | None = ..., **settings: Any
    ) -> ProtectedBatch: ...
    @overload
    def protect(
        self, image: Kind, mask: MaskLike | None = ..., **settings: Any
    ) -> Protected[Kind]: ...
    def protect(  # type: ignore[misc]  # the overloads leave the settings to this signature
        self,
        image: Any,
        mask: Any = None,
        budget: Budget | float | tuple[float, float] = DEFAULTS.budget,
        target: Target = DEFAULTS.target,
        visibility: Visibility = DEFAULTS.visibility,
        background: Literal[0] | None = DEFAULTS.background,
        silent: Silent = DEFAULTS.silent,
        *,
        classes: Sequence[int] | None = None,
        void: int | Literal["auto"] | None = DEFAULTS.void,
        range: RangeChoice = DEFAULTS.range,
    ) -> Any:
        """Protect an image, or several.

        Args:
            image: RGB or grey. numpy (H, W, 3), (H, W, 4) or (H, W) of uint8 or uint16; a Pillow
                image, whose EXIF orientation is applied; or torch (3, H, W) or (1, H, W), uint8 in
                [0, 255] or float in [0, 1] (in [0, 255] when a value is above 1). Several: a list,
                torch (N, 3, H, W), or numpy (N, H, W, 3).
            mask: (H, W) numpy, torch or Pillow; bool, a soft mask of floats in [0, 1], or labels
                with 0 as background and, in 8-bit maps, 255 as void (foreground when there are
                only 0 and 255). A mask without foreground leaves the image as it is. None to let
                the sources find what stands out. Several: a list, or (N, H, W) or (N, 1, H, W).
            budget: how far a pixel may move, in 8-bit steps; see :meth:`unseg.Budget.of`.
            target: one prompt for the union of the foreground, one a label (``class``), or one an
                instance, composed region by region.
            visibility: ``low`` (not seen when flickering), ``normal`` (not seen side by side) or
                ``strong``, the whole bound; see :mod:`unseg.protect.visibility`.
            background: the label that is background; None when every label is a class.
            silent: with ``class`` and without background, the labels that carry no noise; see
                :class:`Settings`. ``auto`` chooses them from the images of this call, so give
                all images of a set at once, or name the labels.
            classes: labels that are foreground; None is all.
            void: the label to ignore.
            range: of uint16, which values are in use, so that a step is a 255th of them; see
                :class:`Settings`. Floats always use their whole range.

        Returns:
            The image, of the same kind (CMYK becomes RGB), with mask and figures; of several a
            list of them. ``save`` writes it with its EXIF data and profile; a lossy format breaks
            the bound.

        Raises:
            UnsegError: when image or mask have a wrong shape, dtype or size, or nothing changed.
        """
        chosen = Settings(
            budget=budget,  # type: ignore[arg-type]
            target=target,
            visibility=visibility,
            background=background,
            silent=silent if isinstance(silent, str) else tuple(silent),
            classes=None if classes is None else tuple(classes),
            void=void,
            range=range,
        )
        several = is_batch(image)
        images = list(image) if several else [image]
        masks = _masks(mask, images, several)
        opened = [
            _opened(one, given, f"image {number}" if several else "the image", chosen.range)
            for number, (one, given) in enumerate(zip(images, masks, strict=True))
        ]
        _refuse_label_maps(opened)
        chosen = self._resolved(chosen, opened)
        colours = colours_of(one.labels for one in opened if one.labels is not None)
        results = [self._protect(one, chosen, colours) for one in opened]
        if not several:
            return results[0]
        return ProtectedBatch(results, stacked=not isinstance(image, list | tuple))

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
            UnsegError: when a box covers no pixel, or this protector has no base to ask.
        """
        base = self._asked_base()
        corners = np.asarray(boxes, np.float32)
        if corners.ndim != 2 or corners.shape[1] != 4 or not np.isfinite(corners).all():
            raise UnsegError(
                f"the boxes have shape {corners.shape}: expected one or more of left, top, right, "
                "bottom, all finite"
            )
        labels = np.arange(1, len(corners) + 1, dtype=np.int32)
        given = Boxes(corners, labels, False, "the boxes")
        return draw_boxes(open_image(image)[0], given, base).astype(np.uint16)

    def mask_of_points(
        self,
        image: ImageLike,
        points: Sequence[tuple[float, float]],
        labels: Sequence[int | bool],
        box: tuple[float, float, float, float] | None = None,
    ) -> NDArray[np.bool_]:
        """The object at points, for :meth:`protect`'s ``mask``.

        Args:
            image: as for :meth:`protect`.
            points: x and y of each, in pixels of the image as it is shown.
            labels: of each point: 1 where it is on the object, 0 where it is not.
            box: left, top, right and bottom around the object, in the same pixels; nothing is
                found outside. Points outside the box are of further objects.

        Returns:
            (H, W), bool; all false where nothing was found.

        Raises:
            UnsegError: when a point lies outside the image, none is on the object and there is no
                box, or this protector has no base to ask.
        """
        base = self._asked_base()
        if len(points) != len(labels) or not all(label in (0, 1) for label in labels):
            raise UnsegError(
                f"{len(points)} points have the labels {list(labels)}: expected one for each, 1 on "
                "the object and 0 off it"
            )
        pairs = list(zip(points, labels, strict=True))
        clicks = Clicks(
            tuple(point for point, label in pairs if label),
            tuple(point for point, label in pairs if not label),
            () if box is None else (box,),
        )
        return find_clicked(open_image(image)[0], clicks, base, "the image").numbers > 0

    def _asked_base(self) -> SamBase:
        """The SAM that finds outlines.

        Raises:
            UnsegError: when there is none.
        """
        if self.base is None:
            raise UnsegError(
                "this protector has no SAM that can read boxes: make it with "
                "Protector.from_pretrained"
            )
        return self.base

    def _resolved(self, chosen: Settings, opened: Sequence[_Opened]) -> Settings:
        """Settings whose silent classes are known."""
        embedder = embedder_of(self.noises)
        if not chosen.chooses_silent or embedder is None:
            return chosen
        pairs = [(one.photo, one.labels) for one in opened if one.labels is not None]
        cells = [
            cells_of_photo(embedder, photo, labels, chosen.rules)
            for photo, labels in (pairs[i] for i in spread(len(pairs)))
            if labels.size == photo.size
        ]
        found = choose_silent(cells)
        return replace(chosen, silent="first" if found is None else found)

    def _protect(self, one: _Opened, chosen: Settings, colours: tuple[int, ...]) -> Protected[Any]:
        given = [] if one.labels is None else [GivenMask(one.labels, colours)]
        found = find_regions(one.photo, [*given, *self.sources], chosen.rules, one.name)
        made = protect_photo(
            one.photo, found.regions, self.noises, chosen.budget, chosen.visibility
        )
        refuse_unchanged(one.photo, made, one.name)
        return _result(one, found, made)


def is_batch(image: object) -> bool:
    """Whether an image is several: a list, or an array with a batch dimension."""
    return isinstance(image, list | tuple) or (
        isinstance(image, Tensor | np.ndarray) and image.ndim == 4
    )


def _result(one: _Opened, found: FoundRegions, made: Protection) -> Protected[Any]:
    after = replace(one.photo, pixels=made.pixels)
    quality = compare(one.photo, after, found.regions.foreground, made.judge)
    remarks = (*one.photo.remarks, *found.remarks, *made.remarks)
    return Protected(
        image=one.restore(after),
        mask=found.regions.foreground,
        mask_source=found.source,
        notes=texts(remarks, warning=False),
        warnings=texts(remarks, warning=True),
        noise=made.noise,
        change=quality.change,
        psnr=quality.psnr,
        ssim=quality.ssim,
        visibility_score=quality.visibility,
    )


def _opened(image: ImageLike, mask: MaskLike | None, name: str, choice: RangeChoice) -> _Opened:
    photo, restore = open_image(image, choice)
    return _Opened(photo, restore, None if mask is None else open_mask(mask), name)


def _refuse_label_maps(opened: Sequence[_Opened]) -> None:
    """Refuse a label map among photographs, as the command does."""
    maps = [one for one in opened if is_label_map(one.photo)] if len(opened) > 1 else []
    if maps and any(is_photograph(one.photo) for one in opened):
        raise UnsegError(refusal(maps[0].name))


def _masks(mask: Any, images: Sequence[Any], several: bool) -> list[MaskLike | None]:
    """A mask for every image."""
    if not several:
        return [mask]
    if mask is None:
        return [None] * len(images)
    if isinstance(mask, Image.Image) or len(mask) != len(images):
        count = 1 if isinstance(mask, Image.Image) else len(mask)
        raise UnsegError(f"{len(images)} images and {count} masks: give one mask for every image")
    return list(mask)


__all__ = ["Protected", "ProtectedBatch", "Protector"]
