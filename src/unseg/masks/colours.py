"""Masks in colour: one hue on black, sets of colours, or a mask in the alpha channel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unseg.errors import UnsegError
from unseg.masks.labelmap import LabelMap
from unseg.masks.shades import black_and_white, black_and_white_of_lossy, flatness
from unseg.remarks import Remark

#: Colours of a map at most; above it is a picture. Above the first there may be soft edges.
MANY_COLOURS, PICTURE = 256, 1024
#: A picture has more values than these, on more pixels, and fewer of its neighbours are equal.
PICTURE_VALUES, PICTURE_PIXELS, PICTURE_FLATNESS = 64, 256, 0.5
#: Pascal VOC's rim: void in its colour maps, as 255 is in its index maps.
VOC_RIM = (224, 224, 192)
#: How far a colour may lie from shades of one hue, in 8-bit steps: exact files, and JPEG.
EXACT, LOSSY = 3, 48

_ALPHA = Remark("the mask was taken from the alpha channel, as the colours show no mask")


def labels_of_grey(
    grey: NDArray[np.uint8], name: str, alpha: NDArray[np.uint8] | None = None
) -> LabelMap:
    """Labels of grey of 8 bits: a black and white mask becomes 0 and 255.

    Args:
        grey: (H, W).
        name: what to call it in messages.
        alpha: (H, W), used only where it is a mask and grey is none.

    Raises:
        UnsegError: when it is a picture and no mask.
    """
    found = labels_of_shades(grey)
    picture = found is None and is_picture(grey)
    if alpha is not None and (picture or _is_constant(grey)):
        mask = _mask_of_alpha(alpha)
        if mask is not None:
            return LabelMap(mask, remarks=(_ALPHA,))
    if picture:
        raise UnsegError(_refusal(name, "shades of grey"))
    return LabelMap(grey) if found is None else found


def is_picture(values: NDArray[Any]) -> bool:
    """Whether (H, W) values are a picture's: many, and different from pixel to pixel."""
    if values.size < PICTURE_PIXELS or flatness(values) >= PICTURE_FLATNESS:
        return False
    return len(np.unique(values)) > PICTURE_VALUES


def _refusal(name: str, what: str) -> str:
    return (
        f"{name} holds many {what}, as a picture does, or a map with soft edges or from JPEG: "
        "expected one value per label; save it as PNG without smoothing"
    )


def labels_of_shades(values: NDArray[Any]) -> LabelMap | None:
    """0 and 255 of a black and white mask of 8 or 16 bits; None where the values are labels."""
    found = black_and_white(values)
    if found is None:
        return None
    remarks = []
    if found.doubtful:
        text = (
            "white was taken for foreground and the few dark labels for traces of JPEG: if 255 is "
            "void, save the labels without them, or give --void 255 and --classes"
        )
        remarks.append(Remark(text, warning=True))
    elif found.soft:
        remarks.append(Remark("a black and white mask with shades along its edges"))
    return LabelMap(found.white.astype(np.uint8) * np.uint8(255), remarks=tuple(remarks))


def labels_of_colours(
    colours: NDArray[np.uint8], name: str, alpha: NDArray[np.uint8] | None = None
) -> LabelMap:
    """Labels of a mask in colour.

    Args:
        colours: (H, W, 3), RGB.
        name: what to call it in messages.
        alpha: (H, W), used only where it is a mask and the colours are none.

    Raises:
        UnsegError: when it is a picture and no mask.
    """
    red, green, blue = (np.ascontiguousarray(colours[..., i]) for i in range(3))
    if np.array_equal(red, green) and np.array_equal(red, blue):
        return labels_of_grey(red, name, alpha)
    ids = ids_of(colours)
    found, place, count = np.unique(ids, return_inverse=True, return_counts=True)
    picture = len(found) > PICTURE or is_picture(ids)
    if alpha is not None and (len(found) == 1 or picture):
        mask = _mask_of_alpha(alpha)
        if mask is not None:
            return LabelMap(mask, remarks=(_ALPHA,))
    shades = shades_of_one_hue(found, count, EXACT)
    if shades is not None:
        binary = labels_of_shades(shades[place.reshape(ids.shape)])
        if binary is not None and len(found) > 2:
            return binary
    if picture:
        raise UnsegError(_refusal(name, "colours"))
    remarks = []
    if len(found) > MANY_COLOURS:
        text = (
            f"the map holds {len(found)} colours, each of which was taken for a label: it may have "
            "soft edges"
        )
        remarks.append(Remark(text, warning=True))
    rim = _id(*VOC_RIM)
    void = rim if rim in found and 0 in found and len(found) > 2 else None
    if void is not None:
        text = (
            "the colour 224, 224, 192 is Pascal VOC's rim and counts as void, as 255 does in its "
            "index maps"
        )
        remarks.append(Remark(text, warning=True))
    return LabelMap(ids, wide=True, remarks=tuple(remarks), void=void, coloured=True)


def labels_of_lossy(colours: NDArray[np.uint8], name: str, kind: str) -> LabelMap:
    """A black and white mask from a kind of file that keeps no exact labels.

    Args:
        colours: (H, W, 3), RGB.
        name: what to call it in messages.
        kind: of the file, such as JPEG.

    Raises:
        UnsegError: when it is not black and white, or one hue on black.
    """
    spread = colours.max(axis=2) - colours.min(axis=2)
    grey: NDArray[np.uint8] | None = colours[..., 1]
    if np.count_nonzero(spread > LOSSY) > 0.01 * spread.size:
        found, place, count = np.unique(ids_of(colours), return_inverse=True, return_counts=True)
        shades = shades_of_one_hue(found, count, LOSSY)
        grey = None if shades is None else shades[place.reshape(spread.shape)]
    white = None if grey is None else black_and_white_of_lossy(grey)
    if white is None:
        raise UnsegError(
            f"{name} is a {kind} file and not a black and white mask: {kind} does not keep labels; "
            "save the map as PNG from the program that drew it"
        )
    remark = Remark(f"a {kind} file, read as a black and white mask and cut at half of white")
    return LabelMap(white.astype(np.uint8) * np.uint8(255), remarks=(remark,))


def ids_of(colours: NDArray[np.uint8]) -> NDArray[np.int32]:
    """(H, W), R + 256 G + 65536 B, as in COCO's panoptic maps."""
    ids = colours[..., 2].astype(np.int32)
    for channel in (1, 0):
        ids = ids * 256 + colours[..., channel]
    return ids


def shades_of_one_hue(
    ids: NDArray[np.int32], count: NDArray[np.integer[Any]], tolerance: int
) -> NDArray[np.uint8] | None:
    """Shade, 0..255, of every colour, where all are shades of one hue from black on; else None.

    Args:
        ids: of the colours.
        count: of each colour's pixels; at most one pixel in a hundred may be off.
        tolerance: how far a colour may lie from the shades, in 8-bit steps.
    """
    colours = np.stack([ids & 255, ids >> 8 & 255, ids >> 16 & 255], axis=1).astype(np.float32)
    strong = np.where(colours.max(axis=1) >= 128, count, 0)
    if not strong.any():
        return None
    hue = colours[int(strong.argmax())]
    share = colours @ hue / float(hue @ hue)
    away = np.abs(colours - share[:, None] * hue).max(axis=1)
    off = (away > tolerance) | (share > 1 + tolerance / 255)
    if count[off].sum() > (0 if tolerance == EXACT else 0.01 * count.sum()):
        return None
    return np.clip(np.rint(share * 255), 0, 255).astype(np.uint8)


def _id(red: int, green: int, blue: int) -> int:
    return red + 256 * green + 65536 * blue


def _is_constant(values: NDArray[np.uint8]) -> bool:
    return not values.size or bool((values == values.flat[0]).all())


def _mask_of_alpha(alpha: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """0 and 255 of an alpha channel that is a mask; None of one that is opaque, or of no mask."""
    if _is_constant(alpha):
        return None
    found = black_and_white(alpha)
    return None if found is None else found.white.astype(np.uint8) * np.uint8(255)
