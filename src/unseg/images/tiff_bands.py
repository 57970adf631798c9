"""The samples of TIFF files that Pillow does not read in full: many bands, many bits, floats."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from PIL import Image

from unseg.errors import UnsegError
from unseg.extras import require
from unseg.images.floats import with_floats
from unseg.images.photo import Photo, Pixels
from unseg.images.tiff_reader import TiffLayout
from unseg.remarks import Remark


def read_bands(data: bytes, layout: TiffLayout, name: str) -> Pixels:
    """(H, W, bands) of what Pillow does not read in full, as it is stored.

    Raises:
        UnsegError: when no reader at hand knows its layout or compression.
    """
    values, reason = _by_tifffile(data)
    if values is None and not layout.further and not layout.floating:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if decoded is not None and decoded.ndim == 3 and layout.orientation == 1:
            order = [2, 1, 0, 3][: decoded.shape[2]]  # OpenCV has blue first
            values = np.ascontiguousarray(decoded[..., order])
    if values is None:
        kind = "floating-point samples" if layout.floating else f"{layout.bits} bits"
        what = f"{name} is a TIFF of {layout.bands} bands with {kind}"
        if not reason or "imagecodecs" in reason:
            require("tiff", f"{what}, and reading that")
        raise UnsegError(f"{what} that cannot be read ({reason}): save it without compression")
    values = values[..., None] if values.ndim == 2 else values
    if values.shape != (*layout.size[::-1], layout.bands) or values.dtype.kind not in "uif":
        raise UnsegError(
            f"{name} holds samples of another shape than its tags say: copy it again, or save it "
            "without compression"
        )
    return values


def _by_tifffile(data: bytes) -> tuple[Pixels | None, str]:
    """(H, W, bands) as they are stored, in the machine's byte order; or None, and why."""
    try:
        import tifffile
    except ImportError:
        return None, ""
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page: Any = file.pages[0]
            values = np.asarray(page.asarray())
            if values.ndim == 3 and page.planarconfig == 2:  # bands one after the other
                values = values.transpose(1, 2, 0)
    except Exception as error:  # an unknown compression, or damage: others may read it
        return None, (str(error).strip() or type(error).__name__).splitlines()[0]
    return np.ascontiguousarray(values, values.dtype.newbyteorder("=")), ""


def grey_of_16_bits(image: Image.Image, layout: TiffLayout) -> Pixels:
    """(H, W) uint16 of a loaded image of one band; signed samples are shifted up by 32768."""
    values = np.asarray(image).astype(np.int32)
    values = values + 32768 if layout.container.signed else values
    top = (1 << layout.bits) - 1
    values = top - values if layout.inverted else values
    return values.astype(np.uint16)


def split_bands(values: Pixels, layout: TiffLayout) -> tuple[Pixels, Pixels | None, Pixels | None]:
    """Colour, alpha and further bands; signed samples are shifted up by 32768."""
    if layout.container.signed:
        values = (values.astype(np.int32) + 32768).astype(np.uint16)
    if layout.inverted and not layout.floating:
        colour = np.iinfo(values.dtype).max - values[..., :1]
        values = np.concatenate([colour, values[..., 1:]], axis=2)
    end = layout.colours + layout.alpha
    colour = values[..., : layout.colours] if layout.colours > 1 else values[..., 0]
    return (
        np.ascontiguousarray(colour),
        np.ascontiguousarray(values[..., layout.colours]) if layout.alpha else None,
        np.ascontiguousarray(values[..., end:]) if layout.further else None,
    )


def with_tags(photo: Photo, layout: TiffLayout) -> Photo:
    """What a TIFF's tags say of a photo."""
    made = replace(
        photo,
        container=layout.container,
        dropped=layout.dropped,
        location=photo.location or layout.container.georeferenced,
        remarks=(*photo.remarks, *_band_remarks(photo, layout)),
    )
    if layout.floating:
        return with_floats(made, photo.pixels, layout.nodata)
    offset = 32768 if layout.container.signed else 0
    top = np.iinfo(photo.pixels.dtype).max
    nodata = None
    if layout.nodata is not None and layout.nodata.is_integer():
        nodata = int(layout.nodata) + offset
        if layout.inverted:
            nodata = top - nodata if layout.bits in {8, 16} else None
    fits = nodata is not None and 0 <= nodata <= top
    mirror = (1 << layout.bits) - 1 - offset if layout.inverted and layout.bits > 8 else None
    return replace(made, offset=offset, mirror=mirror, nodata=nodata if fits else None)


def _band_remarks(photo: Photo, layout: TiffLayout) -> list[Remark]:
    if photo.bands is None:
        return []
    count = photo.bands.shape[2]
    text = (
        f"{count} of {layout.bands} bands are neither colour nor alpha: they are kept as they are, "
        "without noise"
    )
    if layout.colours > 1 and layout.photometric == 1:
        text = (
            f"{layout.bands} bands without colours: the first three carry noise, the other {count} "
            "are kept as they are, without noise"
        )
    return [Remark(text, warning=True)]
