"""Masks as people have them: drawn here, saved in every odd way."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

SIZE = (160, 120)
"""Width and height of all of them."""


def blob(times: int = 1) -> NDArray[np.uint8]:
    """(H, W), 0 and 255: an ellipse with a bay, at a multiple of the size."""
    image = Image.new("L", (SIZE[0] * times, SIZE[1] * times))
    pen = ImageDraw.Draw(image)
    pen.ellipse([v * times for v in (40, 25, 110, 95)], fill=255)
    pen.ellipse([v * times for v in (90, 40, 130, 70)], fill=0)
    return np.asarray(image)


TRUTH = blob() > 0


def antialiased(times: int, levels: int = 256) -> NDArray[np.uint8]:
    """Drawn larger and shrunk; with few levels, few shades are left."""
    small = Image.fromarray(blob(times)).resize(SIZE, Image.Resampling.BOX)
    step = 255 / (levels - 1)
    return (np.rint(np.asarray(small) / step) * step).astype(np.uint8)


def through_jpeg(values: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Saved as JPEG once, and read."""
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


def palette(values: NDArray[np.uint8], colours: list[int]) -> Image.Image:
    """Indices with a palette."""
    image = Image.fromarray(values)
    image.putpalette(colours)
    return image


def white_is_zero(values: NDArray[np.uint8], path: Path) -> None:
    """A TIFF whose stored values are these and whose 0 is white."""
    image = Image.fromarray(255 - values)
    image.save(path, tiffinfo={262: 0})


GREY: dict[str, Callable[[], NDArray[np.uint8]]] = {
    "hard": blob,
    "antialiased 2x": lambda: antialiased(2),
    "antialiased 4x": lambda: antialiased(4),
    "one shade": lambda: antialiased(4, 3),
    "two shades": lambda: antialiased(4, 4),
    "white is 250": lambda: (antialiased(4) * (250 / 255)).astype(np.uint8),
    "blurred": lambda: np.asarray(Image.fromarray(blob()).filter(ImageFilter.GaussianBlur(1))),
    **{f"JPEG {q}": (lambda q=q: through_jpeg(blob(), q)) for q in (30, 50, 75, 90, 95, 98)},
}
"""Black and white masks by what became of them."""


def label_map(rng: np.random.Generator, labels: int, rim: int) -> NDArray[np.uint8]:
    """Areas of small labels with a rim of void, 255, as Pascal VOC has."""
    values = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    for _ in range(int(rng.integers(1, 6))):
        image = Image.fromarray(values)
        x, y = rng.integers(0, 110), rng.integers(0, 80)
        w, h = rng.integers(12, 50, 2)
        draw = ImageDraw.Draw(image)
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape([x, y, x + w, y + h], fill=int(rng.integers(1, labels + 1)))
        values = np.asarray(image)
    kernel = np.ones((2 * rim + 1, 2 * rim + 1), np.uint8)
    edges = cv2.dilate(values, kernel) != cv2.erode(values, kernel)
    return np.where(edges, 255, values).astype(np.uint8)
