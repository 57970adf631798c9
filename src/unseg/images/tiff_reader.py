"""TIFF files in: what Pillow reads, what it does not, and by name what is refused."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from unseg.errors import UnsegError
from unseg.files import MAX_BYTES
from unseg.images.photo import check_size
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
#: Compressions that Pillow reads: of TIFF 6.0, Deflate, LZMA and Zstandard.
_COMPRESSIONS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 32771, 32773, 32946, 34925, 50000})


@dataclass(frozen=True)
class TiffLayout:
    """How the first page of a TIFF stores its samples.

    Args:
        bits: of a sample.
        bands: samples a pixel.
        colours: of them grey or colour.
        alpha: whether the next one is alpha.
        inverted: whether 0 is white.
        size: (width, height), as stored.
        floating: whether the samples are floating-point.
        photometric: photometric interpretation.
        orientation: 1..8.
        container: what a written TIFF carries over.
        nodata: the sample that stands for no data, in the file's own samples.
        remarks: what an owner should know.
        dropped: what is not carried over, by name.
        rare: whether it is in a compression that Pillow does not read.
    """

    bits: int
    bands: int
    colours: int
    alpha: bool
    inverted: bool
    size: tuple[int, int]
    floating: bool
    photometric: int
    orientation: int
    container: TiffTags
    nodata: float | None
    remarks: tuple[Remark, ...]
    dropped: tuple[str, ...]
    rare: bool = False

    @property
    def further(self) -> int:
        """Bands beyond colour and alpha."""
        return self.bands - self.colours - self.alpha

    @property
    def by_pillow(self) -> bool:
        """Whether Pillow reads all samples in full."""
        return (
            not self.further and not self.floating and (self.bits <= 8 or self.bands == 1)
            and self.colours == _COLOURS[self.photometric] and not self.rare
        )  # fmt: skip


def read_layout(data: bytes, name: str) -> TiffLayout | None:
    """The layout of a TIFF; None when its tags cannot be read, which Pillow will say more of.

    Raises:
        UnsegError: when it is of a kind that is not read, naming the kind.
    """
    pages = read_directories(data)
    if not pages or not numbers(pages[0], 256):
        return None
    page = pages[0]
    # Smaller copies of the first page and its mask are no pages of their own.
    others = [one for one in pages[1:] if not _subfile(one) & 5]
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
    signed, floating = (numbers(page, 339, (1,))[0] == kind for kind in (2, 3))
    extras = numbers(page, 338)
    if photometric == 1 and bands >= 3 and not _is_alpha(extras, 0):
        colours = 3  # as viewers show it: bands of a satellite, which have no colours
    alpha = not floating and bands > colours and _is_alpha(extras, colours - _COLOURS[photometric])
    if bands < colours or (photometric in {3, 5, 6} and (bands > colours or bits > 8)):
        raise UnsegError(
            f"{name} has {bands} bands of {bits} bits with photometric interpretation "
            f"{photometric}, which is not read: convert it to RGB or grey"
        )
    width, height = numbers(page, 256)[0], numbers(page, 257, (1,))[0]
    check_size(width, height, name)
    size = width * height * bands * max(8, bits) // 8
    if size > MAX_BYTES:
        raise UnsegError(f"{name} holds {size} bytes of samples: expected at most {MAX_BYTES}")
    orientation = numbers(page, 274, (1,))[0]
    orientation = orientation if orientation in range(1, 9) else 1
    tags = kept_tags(page)
    remarks: list[Remark] = []
    if orientation != 1:
        remarks += _turn_tags(tags, orientation)
    if orientation != 1 or photometric in {3, 5, 6}:
        _drop_shape(tags)
    if any(_subfile(one) & 4 for one in pages[1:]):
        text = "its mask of what is no picture, a page of its own, is left out"
        remarks.append(Remark(text, warning=True))
    layout = TiffLayout(
        bits=bits, bands=bands, colours=colours, alpha=alpha, inverted=photometric == 0,
        size=(width, height), floating=floating,
        photometric=photometric, orientation=orientation, container=TiffTags(tags, signed),
        nodata=_nodata(page),
        remarks=tuple(remarks), dropped=_dropped(page, pages),
        rare=photometric <= 2 and numbers(page, 259, (1,))[0] not in _COMPRESSIONS,
    )  # fmt: skip
    # Pillow takes alpha out of colours, and turns what is inverted; the other reader does not.
    own = 1 if photometric == 0 and bits not in {8, 16} else photometric
    kept = TiffTags(tags, signed, own, () if layout.by_pillow else extras)
    return replace(layout, container=kept)


def _bits(page: dict[int, Value], name: str) -> int:
    """Bits of a sample.

    Raises:
        UnsegError: when the samples are not unsigned of up to 16 bits, signed of 16, or floats.
    """
    all_bits, kinds = numbers(page, 258, (1,)), numbers(page, 339, (1,))
    bits, kind = max(all_bits), kinds[0]
    fix = "scale the samples to unsigned 16-bit integers"
    if len(set(all_bits)) > 1 or len(set(kinds)) > 1:
        raise UnsegError(f"{name} has bands of different bits {all_bits!r:.40}: {fix}")
    if kind == 3 and bits in {16, 32, 64}:
        return bits
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


def _subfile(page: dict[int, Value]) -> int:
    """What kind of page it is, in bits: 1 a smaller copy, 2 one of several, 4 a mask."""
    return numbers(page, 254, (0,))[0]


def _is_alpha(extras: tuple[int, ...], which: int) -> bool:
    """Whether a band beyond the colours is alpha, by what a file says of its bands."""
    return len(extras) > which and extras[which] in {1, 2}


def _nodata(page: dict[int, Value]) -> float | None:
    text = page.get(_NODATA, (0, 0, b""))[2].rstrip(b"\0 ").decode("ascii", "replace")
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _dropped(page: dict[int, Value], pages: list[dict[int, Value]]) -> tuple[str, ...]:
    names = [text for number, text in DROPPED.items() if number in page]
    if copies := sum(_subfile(one) & 5 == 1 for one in pages[1:]):
        names.append(f"{copies} smaller copies")
    return tuple(names)
