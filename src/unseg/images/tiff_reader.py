"""TIFF files in: what Pillow reads, what it does not, and by name what is refused."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from PIL import Image

from unseg.errors import UnsegError
from unseg.files import MAX_BYTES
from unseg.images.photo import Pixels
from unseg.images.tiff import (
    DROPPED,
    GEO,
    TiffTags,
    Value,
    kept_tags,
    numbers,
    read_directories,
)
from unseg.remarks import Remark

#: Bands of colour, by photometric interpretation (TIFF 6.0): grey, RGB, palette, CMYK, YCbCr.
_COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3}
_UNREAD_COLOURS = {
    4: "is a transparency mask", 8: "has CIE Lab colours", 9: "has ICC Lab colours",
    10: "has ITU Lab colours", 32803: "holds a camera's raw data", 34892: "holds raw data",
    32844: "has LogL colours", 32845: "has LogLuv colours",
}  # fmt: skip
_NODATA = 42113


@dataclass(frozen=True)
class TiffLayout:
    """How the first page of a TIFF stores its samples.

    Args:
        bits: of a sample.
        bands: samples a pixel.
        colours: of them grey or colour.
        alpha: whether the next one is alpha.
        inverted: whether 0 is white.
        orientation: 1..8.
        container: what a written TIFF carries over.
        nodata: the sample that stands for no data, in the file's own samples.
        remarks: what an owner should know.
        dropped: what is not carried over, by name.
    """

    bits: int
    bands: int
    colours: int
    alpha: bool
    inverted: bool
    orientation: int
    container: TiffTags
    nodata: int | None
    remarks: tuple[Remark, ...]
    dropped: tuple[str, ...]

    @property
    def further(self) -> int:
        """Bands beyond colour and alpha."""
        return self.bands - self.colours - self.alpha

    @property
    def by_pillow(self) -> bool:
        """Whether Pillow reads all samples in full."""
        return not self.further and (self.bits <= 8 or self.bands == 1)


def read_layout(data: bytes, name: str) -> TiffLayout | None:
    """The layout of a TIFF; None when its tags cannot be read, which Pillow will say more of.

    Raises:
        UnsegError: when it is of a kind that is not read, naming the kind.
    """
    pages = read_directories(data)
    if not pages or not numbers(pages[0], 256):
        return None
    page = pages[0]
    # Smaller copies of the first page are no pages of their own.
    others = [one for one in pages[1:] if not numbers(one, 254, (0,))[0] & 1]
    if others:
        raise UnsegError(
            f"{name} holds {1 + len(others)} frames: expected a still image; save each frame as "
            "its own file"
        )
    if 50706 in page:
        raise UnsegError(
            f"{name} is a camera's raw file (DNG), which is not read: develop it to TIFF or PNG"
        )
    photometric = numbers(page, 262, (1,))[0]
    if photometric not in _COLOURS:
        what = _UNREAD_COLOURS.get(photometric, f"has photometric interpretation {photometric}")
        raise UnsegError(f"{name} {what}, which is not read: convert it to RGB or grey")
    bits = _bits(page, name)
    bands, colours = numbers(page, 277, (1,))[0], _COLOURS[photometric]
    marked = numbers(page, 338)
    alpha = bands > colours and bool(marked) and marked[0] in {1, 2}
    if bands < colours or (photometric in {3, 5, 6} and (bands > colours or bits > 8)):
        raise UnsegError(
            f"{name} has {bands} bands of {bits} bits with photometric interpretation "
            f"{photometric}, which is not read: convert it to RGB or grey"
        )
    size = numbers(page, 256)[0] * numbers(page, 257, (1,))[0] * bands * max(8, bits) // 8
    if size > MAX_BYTES:
        raise UnsegError(f"{name} holds {size} bytes of samples: expected at most {MAX_BYTES}")
    signed = numbers(page, 339, (1,))[0] == 2
    orientation = numbers(page, 274, (1,))[0]
    orientation = orientation if orientation in range(1, 9) else 1
    tags = kept_tags(page)
    remarks: list[Remark] = []
    if orientation != 1:
        remarks += _turn_tags(tags, orientation)
    if orientation != 1 or photometric in {3, 5, 6}:
        _drop_shape(tags)
    return TiffLayout(
        bits=bits, bands=bands, colours=colours, alpha=alpha, inverted=photometric == 0,
        orientation=orientation, container=TiffTags(tags, signed), nodata=_nodata(page, signed),
        remarks=tuple(remarks), dropped=_dropped(page, pages),
    )  # fmt: skip


def _bits(page: dict[int, Value], name: str) -> int:
    """Bits of a sample.

    Raises:
        UnsegError: when the samples are not unsigned of up to 16 bits, or signed of 16.
    """
    all_bits = numbers(page, 258, (1,))
    bits, kind = max(all_bits), numbers(page, 339, (1,))[0]
    fix = "scale the samples to unsigned 16-bit integers"
    if len(set(all_bits)) > 1:
        raise UnsegError(f"{name} has bands of different bits ({all_bits}): {fix}")
    if kind == 3:
        raise UnsegError(f"{name} holds floating-point samples of {bits} bits: {fix}")
    if kind in {5, 6}:
        raise UnsegError(f"{name} holds complex numbers: expected grey or RGB; export an image")
    if bits > 16 or (kind == 2 and bits != 16):
        sign = "signed" if kind == 2 else "unsigned"
        raise UnsegError(f"{name} holds {sign} integers of {bits} bits: {fix}")
    return bits


def _turn_tags(tags: dict[int, Value], orientation: int) -> list[Remark]:
    """Make tags fit the turned picture."""
    if orientation >= 5 and 282 in tags and 283 in tags:
        tags[282], tags[283] = tags[283], tags[282]
    geo = GEO & tags.keys()
    for number in geo:
        del tags[number]
    text = "its orientation was applied, so its georeference no longer fits and was left out"
    return [Remark(text, warning=True)] if geo else []


def _drop_shape(tags: dict[int, Value]) -> None:
    """Leave out a description that tells of the array as it was stored."""
    if 270 in tags and b'"shape"' in tags[270][2]:
        del tags[270]


def _nodata(page: dict[int, Value], signed: bool) -> int | None:
    text = page.get(_NODATA, (0, 0, b""))[2].rstrip(b"\0 ").decode("ascii", "replace")
    try:
        value = float(text)
    except ValueError:
        return None
    low, high = (-32768, 32767) if signed else (0, 65535)
    return int(value) if value == value // 1 and low <= value <= high else None


def _dropped(page: dict[int, Value], pages: list[dict[int, Value]]) -> tuple[str, ...]:
    names = [text for number, text in DROPPED.items() if number in page]
    if len(pages) > 1:
        names.append(f"{len(pages) - 1} smaller copies")
    return tuple(names)


def read_bands(data: bytes, layout: TiffLayout, name: str) -> Pixels:
    """(H, W, bands) uint8, uint16 or int16, of what Pillow does not read in full.

    Raises:
        UnsegError: when no reader at hand knows its layout or compression.
    """
    values = _by_tifffile(data)
    if values is None and not layout.further:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if decoded is not None and decoded.ndim == 3:
            # OpenCV has blue first, and turns as the orientation says.
            order = [2, 1, 0, 3][: decoded.shape[2]]
            values = np.ascontiguousarray(decoded[..., order])
    if values is not None and values.ndim == 2:
        values = values[..., None]
    if values is None or values.ndim != 3 or values.shape[2] != layout.bands:
        raise UnsegError(
            f"{name} is a TIFF of {layout.bands} bands with {layout.bits} bits, in a compression "
            "or layout that is not read: save it without compression, and pip install 'unseg[tiff]'"
        )
    return values


def _by_tifffile(data: bytes) -> Pixels | None:
    """(H, W, bands) as they are stored, or None."""
    try:
        import tifffile
    except ImportError:
        return None
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page: Any = file.pages[0]
            values = np.asarray(page.asarray())
            if values.ndim == 3 and page.planarconfig == 2:  # bands one after the other
                values = values.transpose(1, 2, 0)
    except Exception:  # an unknown compression, or damage: others may read it or say more
        return None
    return np.ascontiguousarray(values)


def grey_of_16_bits(image: Image.Image, layout: TiffLayout) -> Pixels:
    """(H, W) uint16 of a loaded image of one band; signed samples are shifted up by 32768."""
    values = np.asarray(image).astype(np.int32)
    values = values + 32768 if layout.container.signed else values
    top = (1 << layout.bits) - 1
    values = top - values if layout.inverted else values
    return values.astype(np.uint16)
