"""The reader of masks and label maps: files, Pillow images and arrays to labels."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unseg.errors import UnsegError
from unseg.masks.colours import (
    labels_of_colours,
    labels_of_grey,
    labels_of_lossy,
    labels_of_shades,
)
from unseg.masks.labelmap import LabelMap
from unseg.masks.shades import LEAST_WHITE, black_and_white
from unseg.remarks import Remark

#: By bits of a file's grey: what Pillow multiplies its values with to fill eight bits.
SPREAD = {2: 85, 4: 17}
#: Kinds of files that keep no labels exactly; their masks are black and white.
LOSSY = ("JPEG", "MPO", "WEBP", "GIF")
#: The least white of 16 bits.
WHITE_16 = 257 * LEAST_WHITE
_WIDE = {"I;16", "I;16B", "I;16L", "I;16N"}


def read_label_map(path: Path, name: str | None = None) -> LabelMap:
    """Read a mask or label map; docs/mask-files.md lists the rules.

    Understood are 1, 8, 16 and 32 bits of grey, palettes (the index counts; a palette of greys
    alone that holds a black and white picture is read as that), and colour: with three equal
    channels it is read as grey, otherwise as COCO's panoptic ids R + 256 G + 65536 B. A black and
    white mask with soft edges is cut at half of white. An alpha channel counts where the colours
    show no mask. Several pages are joined when each holds one object. JPEG, WebP and GIF files
    are black and white masks.

    Args:
        path: a PNG, TIFF, BMP, JPEG, WebP or GIF file.
        name: what to call it in messages; the path if None.

    Raises:
        UnsegError: when the file cannot be read or its pixels are none of the above.
    """
    name = name or str(path)
    with _opened(path, name) as image:
        return labels_of(image, name)


def read_binary_mask(path: Path) -> NDArray[np.bool_]:
    """Read a mask of one foreground: pixels above half of white, or 1 in a mask of 0 and 1.

    Any format of Pillow's will do, JPEG too: its grey levels near black and white are cut off.

    Returns:
        (H, W) bool.

    Raises:
        UnsegError: when the file cannot be read.
    """
    with _opened(path, str(path)) as image:
        grey = np.asarray(image.convert("L"))
    return grey > (0 if grey.max(initial=0) == 1 else 127)


@contextmanager
def _opened(path: Path, name: str) -> Iterator[Image.Image]:
    """A mask file; whatever goes wrong while it is read becomes an error that names it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                yield image
    except UnsegError:
        raise
    except Exception as error:  # Pillow raises whatever its plugins meet in a damaged file
        raise UnsegError(
            f"{name} cannot be read as a mask ({_reason(error)}): expected a PNG of labels; "
            "write it again"
        ) from error


def labels_of(image: Image.Image, name: str = "the mask") -> LabelMap:
    """Labels of a Pillow image, of all its pages; see :func:`read_label_map`."""
    pages = getattr(image, "n_frames", 1)
    if pages > 1 and image.format != "MPO":
        return _joined(image, pages, name)
    return _labels_of_page(image, name)


def labels_of_floats(values: NDArray[Any], name: str = "the mask") -> LabelMap:
    """Labels of (H, W) floats: whole labels, or a soft mask in [0, 1] or [0, 255].

    Raises:
        UnsegError: when they are neither.
    """
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    if not (np.isfinite(low) and np.isfinite(high)):
        raise UnsegError(f"{name} holds values that are not finite: expected [0, 1] or labels")
    if (values == np.round(values)).all():
        return labels_of_integers(values.astype(np.int64), name)
    if low >= -0.001 and high <= 1.001:  # resizing and blurring overshoot a little
        return LabelMap((values > 0.5).astype(np.int32))
    if low >= -0.255 and high <= 255.255:
        soft = labels_of_shades(np.clip(np.rint(values), 0, 255).astype(np.uint8))
        if soft is not None:
            return soft
    raise UnsegError(
        f"{name}'s floats run from {low:g} to {high:g} and are not whole numbers: expected a soft "
        "mask in [0, 1], or whole numbers as labels"
    )


def labels_of_integers(
    values: NDArray[Any], name: str = "the mask", *, wide: bool | None = None
) -> LabelMap:
    """Labels of (H, W) bool or whole numbers; a black and white mask becomes 0 and 255.

    Args:
        values: of the pixels.
        name: what to call the mask in messages.
        wide: see :class:`LabelMap`; None asks the values, as arrays of labels are often of 32 or
            64 bits for no reason; 16 are chosen.

    Raises:
        UnsegError: when a value is negative or above 2^31.
    """
    if values.dtype.kind == "b":
        return LabelMap(values.astype(np.uint8))
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    if low < 0:
        raise UnsegError(
            f"{name} holds negative labels, down to {low}: expected 0 and above; write void as 255"
        )
    if high >= 1 << 31:
        raise UnsegError(f"{name} holds the label {high}: expected labels below 2^31")
    if values.dtype == np.uint8:
        return labels_of_grey(np.asarray(values, np.uint8), name)
    if wide is None:
        wide = high > 255 or values.dtype.itemsize == 2
    binary = None
    if WHITE_16 <= high <= 65535 or not wide:  # in wide maps below white, 255 is an instance
        binary = labels_of_shades(values.astype(np.uint16 if wide else np.uint8))
    if binary is not None:
        return binary
    return LabelMap(values.astype(np.int32), wide=wide)


def _labels_of_page(image: Image.Image, name: str) -> LabelMap:
    lossless = image.format == "WEBP" and _is_lossless_webp(image)
    if image.format in LOSSY and not lossless:
        kind = "JPEG" if image.format == "MPO" else str(image.format).replace("WEBP", "WebP")
        return labels_of_lossy(np.asarray(image.convert("RGB")), name, kind)
    depth, inverted = _stored_as(image)
    if depth == 16 and image.mode not in _WIDE | {"I"}:
        raise UnsegError(
            f"{name} is a {image.format} with 16-bit colour or alpha: expected grey labels of 1, 8 "
            "or 16 bits"
        )
    if image.mode == "1":
        return LabelMap((np.asarray(image) ^ inverted).astype(np.uint8))
    if image.mode == "P":
        return _labels_of_palette(image)
    if image.mode == "L":
        values: NDArray[np.uint8] = np.asarray(image)
        values = 255 - values if inverted else values
        if depth in SPREAD:
            return LabelMap(values // SPREAD[depth])
        return labels_of_grey(values, name)
    if image.mode == "LA":
        both = np.asarray(image)
        grey, opacity = (np.ascontiguousarray(both[..., i]) for i in range(2))
        return labels_of_grey(grey, name, opacity)
    if image.mode == "PA":
        return LabelMap(np.ascontiguousarray(np.asarray(image)[..., 0]))
    if image.mode in _WIDE | {"I"}:
        return labels_of_integers(np.asarray(image), name, wide=True)
    if image.mode == "F":
        return labels_of_floats(np.asarray(image), name)
    if image.mode in {"RGB", "RGBA"}:
        colours = np.asarray(image)
        alpha = np.ascontiguousarray(colours[..., 3]) if image.mode == "RGBA" else None
        return labels_of_colours(colours[..., :3], name, alpha)
    raise UnsegError(
        f"{name} is an image of mode {image.mode}: expected a PNG of labels, either grey with 1, "
        "8 or 16 bits or with a palette"
    )


def _stored_as(image: Image.Image) -> tuple[int, bool]:
    """Bits a sample where Pillow does not keep them, else 0; whether Pillow inverts the values.

    A TIFF may say that 0 is white; in masks the stored value counts. Pillow turns such files of up
    to 8 bits around, and no others.
    """
    tags = getattr(image, "tag_v2", {})
    inverted = tags.get(262) == 0 and image.mode in {"1", "L"}
    if image.format == "TIFF":
        bits = tags.get(258, (1,))
        return int(bits[0] if isinstance(bits, tuple) else bits), inverted
    raw = ""
    for tile in getattr(image, "tile", ()):  # empty once the image is loaded
        raw = tile[3] if isinstance(tile[3], str) else ""
    if raw in {"L;2", "L;4"}:
        return int(raw[-1]), inverted
    return 16 if ";16" in raw else 0, inverted


def _labels_of_palette(image: Image.Image) -> LabelMap:
    """The index, but in a palette of greys alone that holds a black and white picture the colour.

    An inverted ramp of all 256 greys is how ImageJ marks masks that are shown inverted: there the
    stored value counts, as in a TIFF whose 0 is white.
    """
    index = np.asarray(image).astype(np.uint8)
    palette = np.zeros((256, 3), np.uint8)
    given = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)[:256]
    palette[: len(given)] = given
    used = palette[np.flatnonzero(np.bincount(index.ravel(), minlength=256))]
    if (used != used[:, :1]).any() or np.array_equal(palette[:, 0], np.arange(256)[::-1]):
        return LabelMap(index)
    found = black_and_white(palette[:, 0][index])
    if found is None or (np.array_equal(found.white, index > 0) and not found.soft):
        return LabelMap(index)
    text = "a palette of black and white: the colour counts and not the index"
    remarks = (Remark(text + (", which is 0 for white" if palette[0, 0] > 127 else "")),)
    return LabelMap(found.white.astype(np.uint8) * np.uint8(255), remarks=remarks)


def _joined(image: Image.Image, pages: int, name: str) -> LabelMap:
    """One label a page, of a file that holds a page an object.

    Raises:
        UnsegError: when the pages differ in size or hold more than one object each.
    """
    if image.format != "TIFF":
        raise UnsegError(
            f"{name} holds {pages} frames: expected one mask; save each frame as its own file"
        )
    joined: NDArray[np.int32] | None = None
    for page in range(pages):
        image.seek(page)
        found = _labels_of_page(image, name).values
        if joined is None:
            joined = np.zeros(found.shape, np.int32)
        if found.shape != joined.shape:
            raise UnsegError(
                f"{name} holds {pages} pages of different sizes: expected one mask, or a page for "
                "each object, all of the image's size"
            )
        if len(np.unique(found[found > 0])) > 1:
            raise UnsegError(
                f"{name} holds {pages} pages, and page {page + 1} has several labels: expected one "
                "mask, or a page for each object"
            )
        joined[found > 0] = page + 1
    assert joined is not None
    remark = Remark(f"{pages} pages were joined, each of which was taken for an object")
    return LabelMap(joined, wide=True, remarks=(remark,))


def _is_lossless_webp(image: Image.Image) -> bool:
    """Whether a WebP file, from its first bytes, keeps its values (a chunk VP8L)."""
    path = getattr(image, "filename", "")
    try:
        with Path(path).open("rb") as file:
            return b"VP8L" in file.read(256)
    except OSError:
        return False


def _reason(error: Exception) -> str:
    """First line of a message, without the memory address Pillow puts into it."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return "not an image" if "cannot identify image file" in text else text


__all__ = [
    "LabelMap",
    "labels_of",
    "labels_of_floats",
    "labels_of_integers",
    "read_binary_mask",
    "read_label_map",
]
