"""Annotations that the owner gives: exact outlines, or boxes in which the base SAM draws them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from unseg.errors import UnsegError
from unseg.images.photo import Photo
from unseg.images.view import at_photo_size, model_image
from unseg.masks.annotations import Annotated, Annotations, Shape, read_annotations
from unseg.masks.boxes import Boxes
from unseg.masks.labelmap import LabelMap
from unseg.masks.named import count_names
from unseg.masks.outlines import at_size, decode_rle, fill_polygons
from unseg.masks.pairing import NameIndex, Pairing
from unseg.masks.regions import LabelRules, Target
from unseg.masks.sources.base import Found, MaskSource
from unseg.models.loaded import Models
from unseg.models.propose import masks_of_boxes
from unseg.models.sam.base import SamBase
from unseg.provenance import sha256_files
from unseg.remarks import Remark


class BoxMasks(MaskSource):
    """The objects of annotation files (``--boxes``, ``--masks``).

    Args:
        annotations: of the set.
        base: the SAM that is asked for outlines in boxes.
        target: ``class`` labels a pixel with its object's class, ``instance`` and ``union`` with
            its object's number, both from 1 on; 0 is background.
        sha256: checksum of the files, for records.
        images: names of all images of the run, if they are known.
        classes: the labels whose objects are drawn; None is all.
    """

    name = "boxes"
    summary = "the owner's annotations: outlines, and what the base SAM finds in boxes"
    nothing = "no box for this image"
    given = True

    def __init__(
        self,
        annotations: Annotations,
        base: SamBase,
        target: Target = "union",
        sha256: str = "",
        images: Iterable[str] = (),
        classes: tuple[int, ...] | None = None,
    ) -> None:
        self.classes = classes
        self.annotations, self.base, self.target, self.sha256 = annotations, base, target, sha256
        self._index = NameIndex(annotations.images, images)

    @cached_property
    def highest(self) -> int:
        """The largest class label."""
        every = self.annotations.images.values()
        return max((shape.label for one in every for shape in one.shapes), default=0)

    def has(self, name: str) -> bool:
        """Whether there are annotations of an image."""
        return self._index.find(name) is not None

    def unused(self, images: Iterable[str]) -> list[str]:
        """Names of the annotated images that are none of the images."""
        return self._index.unused(images)

    def find(self, photo: Photo, name: str) -> Found | None:
        pairing = self._index.pairing(name)
        if pairing is None:
            return None
        one = self.annotations.images[pairing.name]
        if one.problem is not None:
            raise UnsegError(one.problem)
        self._check_named(one)
        if self.classes is not None:
            kept = tuple(shape for shape in one.shapes if shape.label in self.classes)
            one = replace(one, shapes=kept)
        drawn = draw_annotated(photo, one, self.base, name)
        remarks = (*one.remarks, *drawn.remarks, *self._pairing_remarks(pairing))
        classes = np.array([0, *(shape.label for shape in one.shapes)], np.int32)
        drawn_labels = classes[[int(n) for n in np.unique(drawn.numbers) if n]]
        objects = count_names(drawn_labels, self.annotations.classes)
        values = classes[drawn.numbers] if self.target == "class" else drawn.numbers
        return Found(LabelMap(values, wide=True, remarks=remarks), objects=objects)

    def rules(self, rules: LabelRules) -> LabelRules:
        # Objects of other classes are not drawn, and objects' numbers are no classes.
        return LabelRules(target=rules.target, silent=rules.silent)

    def identity(self, name: str) -> str:
        return self.sha256 if self.has(name) else ""

    def _check_named(self, one: Annotated) -> None:
        """Refuse objects without a class where classes count."""
        nameless = [shape.name for shape in one.shapes if not shape.label]
        if not nameless or (self.target != "class" and self.classes is None):
            return
        needs, fix = "--classes needs: add it, or", "leave --classes out"
        if self.target == "class":
            needs, fix = "--target class needs: add it, or", "use --target union"
        raise UnsegError(f"{one.name}: {nameless[0]} names no category, which {needs} {fix}")

    def _pairing_remarks(self, pairing: Pairing) -> list[Remark]:
        remarks = [] if pairing.why is None else [Remark(pairing.why)]
        count = self._index.shared[pairing.name]
        if count > 1:
            text = f"the annotations of {pairing.name} fit {count} images of that name"
            remarks.append(Remark(text, warning=True))
        return remarks


def box_source(
    path: Path,
    models: Models,
    target: Target,
    images: Sequence[str],
    *,
    annotations: Annotations | None = None,
    classes: tuple[int, ...] | None = None,
    option: str = "--boxes",
) -> BoxMasks:
    """The mask source of annotation files.

    Args:
        path: see :func:`unseg.masks.annotations.read_annotations`.
        models: whose base SAM draws outlines in boxes.
        target: see :class:`BoxMasks`.
        images: names of the images of the run.
        annotations: what the path holds, if it was read before.
        classes: see :class:`BoxMasks`.
        option: that named the path, for messages.

    Raises:
        UnsegError: when it holds no annotations, or none of any of the images.
    """
    found = read_annotations(path, option) if annotations is None else annotations
    source = BoxMasks(found, models.base, target, sha256_files(found.files), images, classes)
    if not any(source.has(name) for name in images):
        raise UnsegError(
            f"{option} {path} has no box for any of the {len(images)} images: the first image is "
            f"{images[0]}, and the first that is annotated is {next(iter(found.images))}"
        )
    return source


def box_remarks(source: BoxMasks, images: Sequence[str]) -> list[Remark]:
    """What to know of annotations beside what is told of single images."""
    remarks = list(source.annotations.remarks)
    unused = source.unused(images)
    if unused and not all(source.has(name) for name in images):
        text = f"annotations of {len(unused)} images fit no image (first: {unused[0]})"
        remarks.append(Remark(text, warning=True))
    return remarks


class Drawn:
    """The objects of one image.

    Args:
        numbers: (H, W) int32: 0, or the number of the shape that a pixel is of.
        remarks: what was left out.
    """

    def __init__(self, numbers: NDArray[np.int32], remarks: list[Remark]) -> None:
        self.numbers, self.remarks = numbers, tuple(remarks)


def draw_annotated(photo: Photo, one: Annotated, base: SamBase, name: str) -> Drawn:
    """Draw the objects of an image; where they overlap, the smaller lies above.

    Crowds and objects without any pixel are left out, and told of.

    Raises:
        UnsegError: when the annotations are of an image of another shape, or nothing is left.
    """
    width, height = photo.size
    scale = scale_to(one, photo, name)
    crowds = sum(shape.crowd for shape in one.shapes)
    empty: list[str] = []
    masks: list[tuple[int, NDArray[np.bool_]]] = []
    boxed: list[tuple[int, list[float]]] = []
    for number, shape in enumerate(one.shapes, 1):
        if shape.crowd:
            continue
        if shape.exact:
            mask = _outline(shape, scale, width, height)
            if mask.any():
                masks.append((number, mask))
                continue
        corners = np.zeros(4) if shape.box is None else np.array(shape.box) * [*scale, *scale]
        corners = np.clip(corners, 0, [width, height, width, height])
        if shape.exact or (corners[2:] - corners[:2] < 1).any():
            empty.append(shape.name)
        else:
            boxed.append((number, corners.tolist()))
    if one.shapes and not masks and not boxed and empty:
        raise UnsegError(
            f"{one.name}: {empty[0]} covers no pixel of the {width}x{height} image, nor does any "
            "other: correct them or leave them out"
        )
    numbers = np.zeros((height, width), np.int32)
    if boxed:
        own = np.array([0, *(number for number, _ in boxed)], np.int32)
        drawn = np.array([box for _, box in boxed], np.float32)
        given = Boxes(drawn, own[1:], False, one.name)
        numbers = own[draw_boxes(photo, given, base)]
    for number, mask in sorted(masks, key=lambda pair: -int(pair[1].sum())):
        numbers[mask] = number
    return Drawn(numbers, _left_out(crowds, empty))


def _left_out(crowds: int, empty: list[str]) -> list[Remark]:
    remarks = []
    if crowds:
        text = (
            f"{crowds} crowd regions were left out because they hold many objects without outlines"
        )
        remarks.append(Remark(text, warning=True))
    if empty:
        text = f"{', '.join(empty[:3])} covers no pixel and was left out"
        remarks.append(Remark(text, warning=True))
    return remarks


def scale_to(one: Annotated, photo: Photo, name: str) -> tuple[float, float]:
    """What to multiply x and y of annotations with.

    Raises:
        UnsegError: when they are of an image of another shape.
    """
    width, height = photo.size
    if one.size is None:
        return 1.0, 1.0
    own_width, own_height = one.size
    if one.size == (1.0, 1.0) or _alike(own_width, own_height, width, height):
        return width / own_width, height / own_height
    turned = _alike(own_height, own_width, width, height)
    raise UnsegError(
        f"{one.name} is of an image of {own_width:g}x{own_height:g} but {name} is {width}x{height}"
        + (" once its EXIF orientation is applied" if turned else "")
        + ": annotate the image as it is displayed, or give the image that was annotated"
    )


def _alike(own_width: float, own_height: float, width: int, height: int) -> bool:
    """Whether two sizes have one aspect, but for rounding to whole pixels."""
    apart = abs(own_width * height - own_height * width)
    return apart <= max(own_width + own_height, width + height)


def _outline(
    shape: Shape, scale: tuple[float, float], width: int, height: int
) -> NDArray[np.bool_]:
    if shape.rle is not None:
        return at_size(decode_rle(shape.rle), width, height)
    factor = np.array(scale, np.float32)
    return fill_polygons([part * factor for part in shape.polygons], width, height)


def draw_boxes(photo: Photo, boxes: Boxes, base: SamBase) -> NDArray[np.int32]:
    """(H, W), at the photo's size: 0, or the number of the box whose object a pixel is of."""
    image = model_image(photo)
    height, width = image.shape[1:]
    scale = np.array([width / photo.size[0], height / photo.size[1]] * 2, np.float32)
    corners = torch.from_numpy(boxes.in_pixels(*photo.size) * scale)
    found = masks_of_boxes(base, image, corners)
    return at_photo_size(np.asarray(found.cpu().numpy(), np.int32), photo)
