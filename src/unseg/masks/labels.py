"""The reader of masks and label maps: files, Pillow images and arrays to labels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unseg.errors import UnsegError
from unseg.images import png
from unseg.remarks import Remark

#: By bits of a PNG's grey: what Pillow multiplies its values with to fill eight bits.
SPREAD = {2: 85, 4: 17}
#: In a black and white mask with soft edges: the last black, the first light shade and the first
#: white, and the least number of shades.
NEARLY_BLACK, LIGHT, NEARLY_WHITE, SHADES = 8, 200, 247, 8


@dataclass(frozen=True)
class LabelMap:
    """Labels of an image's pixels.

    Args:
        values: (H, W), of an integer dtype, not negative.
        wide: whether the file holds more than 8 bits a pixel, so that labels are instance ids.
        remarks: what an owner should know of how the mask was read.
    """

    values: NDArray[np.integer[Any]]
    wide: bool = False
    remarks: tuple[Remark, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.values.shape[1], self.values.shape[0]


def read_label_map(path: Path, name: str | None = None) -> LabelMap:
    """Read a mask or label map.

    Understood are 1, 8 and 16 bits of grey, palettes (the index counts, not the colour), and
    colour: with three equal channels it is read as grey, otherwise as COCO's panoptic ids
    R + 256 G + 65536 B. An alpha channel is ignored. A black and white mask with soft edges, in
    grey, is cut at half of white.

    Args:
        path: a PNG, TIFF or BMP file.
        name: what to call it in messages; the path if None.

    Raises:
        UnsegError: when the file cannot be read or its pixels are none of the above.
    """
    name = name or str(path)
    with _opened(path, name) as image:
        depth, coloured = _png_depth(path)
        if depth == 16 and coloured:
            raise UnsegError(
                f"{name} is a PNG of 16 bits in colour: expected labels of 1, 8 or 16 bits of grey"
            )
        if depth in SPREAD and not coloured:
            return LabelMap(np.asarray(image.convert("L")) // SPREAD[depth])
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


def _png_depth(path: Path) -> tuple[int, bool]:
    """Bits a sample of a PNG and whether it has a palette or colour; (0, False) of other files."""
    with path.open("rb") as file:
        head = file.read(26)
    if not head.startswith(png.SIGNATURE) or len(head) < 26:
        return 0, False
    depth, colour = png.header(head)
    return depth, colour not in (0, 4)


@contextmanager
def _opened(path: Path, name: str) -> Iterator[Image.Image]:
    """A mask file; whatever goes wrong while it is read becomes an error that names it."""
    try:
        with Image.open(path) as image:
            yield image
    except UnsegError:
        raise
    except Exception as error:  # Pillow raises whatever its plugins meet in a damaged file
        raise UnsegError(
            f"{name} cannot be read as a mask ({_reason(error)}): expected a PNG of labels, "
            "write it again"
        ) from error


def labels_of(image: Image.Image, name: str = "the mask") -> LabelMap:
    """Labels of a Pillow image; see :func:`read_label_map`."""
    if image.mode in {"1", "P"}:
        return LabelMap(np.asarray(image).astype(np.uint8))
    if image.mode == "L":
        return LabelMap(hardened(np.asarray(image)))
    if image.mode in {"LA", "PA"}:
        values = np.ascontiguousarray(np.asarray(image)[..., 0])
        return LabelMap(hardened(values) if image.mode == "LA" else values)
    if image.mode in {"I;16", "I;16B", "I;16L", "I;16N", "I"}:
        values = np.asarray(image)
        if values.size and values.min() < 0:
            raise UnsegError(f"{name} holds negative labels: expected 0 and above")
        return LabelMap(values.astype(np.int32), wide=True)
    if image.mode in {"RGB", "RGBA"}:
        red, green, blue = (np.asarray(image)[..., i] for i in range(3))
        if np.array_equal(red, green) and np.array_equal(red, blue):
            return LabelMap(hardened(np.ascontiguousarray(red)))
        ids = blue.astype(np.int32)
        for channel in (green, red):
            ids = ids * 256 + channel
        return LabelMap(ids, wide=True)
    raise UnsegError(
        f"{name} is an image of mode {image.mode}: expected a PNG of labels with 1, 8 or 16 bits "
        "of grey or a palette"
    )


def hardened(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Cut a black and white mask with soft edges at half of white; label maps stay as they are.

    Drawing programs, resizing and JPEG leave shades between, which are no labels. A map is taken
    for such a mask when it has black, white and eight shades or more, light ones that no set of
    labels reaches among them, and more of its pixels are white than between: where 255 is void
    beside eight labels, it covers less than they do.
    """
    count = np.bincount(grey.ravel(), minlength=256)
    between = count[NEARLY_BLACK + 1 : NEARLY_WHITE]
    shades = np.count_nonzero(between) >= SHADES and count[LIGHT:NEARLY_WHITE].any()
    if not (shades and count[0] and count[255]) or count[NEARLY_WHITE:].sum() <= between.sum():
        return grey
    return np.where(grey > 127, 255, 0).astype(np.uint8)


def _reason(error: Exception) -> str:
    """First line of a message, without the memory address Pillow puts into it."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return "not an image" if "cannot identify image file" in text else text
