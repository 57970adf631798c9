"""Pictures of what protection did: one panel an image, and a sheet of panels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from unseg.errors import UnsegError
from unseg.masks.overlay import overlaid

PAPER = (255, 255, 255)
INK = (32, 32, 32)
QUIET = (112, 112, 112)
COLUMN = 360
"""Width of a column in pixels: four of them fit a laptop's screen."""
TALLEST = 480
MARGIN = 16
GAP = 10
LABEL = 30
TITLE = 38


def amplified(
    original: NDArray[np.uint8], protected: NDArray[np.uint8], gain: float
) -> NDArray[np.uint8]:
    """The noise as a picture: mid grey is no change, ``gain`` times the change is added to it.

    Args:
        original: (H, W, 3) uint8.
        protected: the same shape.
        gain: factor of the change; 8 steps at gain 16 reach the ends of the range.

    Returns:
        (H, W, 3) uint8.
    """
    change = protected.astype(np.float32) - original.astype(np.float32)
    return np.clip(np.rint(128 + gain * change), 0, 255).astype(np.uint8)


def panel(
    original: Image.Image | NDArray[np.uint8],
    protected: Image.Image | NDArray[np.uint8],
    mask: Image.Image | NDArray[np.bool_],
    gain: float = 16,
    *,
    title: str = "",
    caption: str = "",
    drawn: bool = False,
) -> Image.Image:
    """Four labelled columns: original, protected, noise, mask.

    The noise is amplified at full resolution and only then resized for display, so a fine noise
    looks weaker here than it is, never stronger.

    Args:
        original: the photograph; shown as RGB.
        protected: the same size.
        mask: (H, W) bool or an image of the same size, non-zero is foreground.
        gain: factor of the change in the third column.
        title: a line above the columns.
        caption: a smaller line below it.
        drawn: whether the mask is drawn over the photograph, not in black and white.

    Raises:
        UnsegError: when the sizes differ.
    """
    before, after = _rgb(original), _rgb(protected)
    inside = np.asarray(mask) != 0
    if before.shape != after.shape or inside.shape != before.shape[:2]:
        raise UnsegError(
            f"panel {title or 'untitled'}: the original is {_size(before)}, the protected image "
            f"{_size(after)}, the mask {_size(inside)}: all three must have the same size"
        )
    columns = [
        ("original", before),
        ("protected", after),
        (f"noise x{gain:g}", amplified(before, after, gain)),
        ("mask", overlaid(before, inside) if drawn else _black_and_white(inside)),
    ]
    height, width = before.shape[:2]
    scale = min(COLUMN / width, TALLEST / height)
    cell = (max(1, round(width * scale)), max(1, round(height * scale)))
    top = MARGIN + (TITLE if title else 0) + (LABEL if caption else 0)
    sheet = Image.new(
        "RGB", (2 * MARGIN + 4 * COLUMN + 3 * GAP, top + LABEL + cell[1] + MARGIN), PAPER
    )
    draw = ImageDraw.Draw(sheet)
    if title:
        draw.text((MARGIN, MARGIN + 4), title, fill=INK, font=ImageFont.load_default(22))
    if caption:
        draw.text((MARGIN, top - LABEL), caption, fill=INK, font=ImageFont.load_default(18))
    for index, (label, picture) in enumerate(columns):
        left = MARGIN + index * (COLUMN + GAP)
        draw.text((left, top), label, fill=QUIET, font=ImageFont.load_default(18))
        filter_ = Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.LANCZOS
        shown = Image.fromarray(picture).resize(cell, filter_)
        corner = (left, top + LABEL)
        sheet.paste(shown, corner)
        # A hairline, because a white mask has no edge on white paper.
        draw.rectangle(
            (corner[0], corner[1], corner[0] + cell[0] - 1, corner[1] + cell[1] - 1),
            outline=(208, 208, 208),
        )
    return sheet


def contact_sheet(panels: Sequence[Image.Image]) -> Image.Image:
    """Panels below one another, left-aligned, a rule between them.

    Raises:
        UnsegError: when there is no panel.
    """
    if not panels:
        raise UnsegError("the contact sheet has no panel: give at least one")
    width = max(p.width for p in panels)
    sheet = Image.new("RGB", (width, sum(p.height for p in panels) + len(panels) - 1), PAPER)
    draw = ImageDraw.Draw(sheet)
    y = 0
    for index, one in enumerate(panels):
        if index:
            draw.line((MARGIN, y, width - MARGIN, y), fill=(224, 224, 224))
            y += 1
        sheet.paste(one, (0, y))
        y += one.height
    return sheet


def _black_and_white(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.repeat(mask[..., None], 3, axis=2).astype(np.uint8) * 255


def _rgb(image: Image.Image | NDArray[np.uint8]) -> NDArray[np.uint8]:
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    return np.asarray(picture.convert("RGB"))


def _size(array: NDArray) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"
