"""Draw the figure of docs/how-it-works.md: the steps of protecting, and what a model learns.

    python scripts/figure_how.py -o docs/img/how.png

The photograph is Chelsea the cat (Stefan van der Walt, CC0, from scikit-image); mask, noise and
protected photograph are what the shipped weights make of it.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from numpy.typing import NDArray
from PIL import Image
from skimage import data

import unseg
from unseg.files import write_atomically
from unseg.key import Key
from unseg.report.panels import amplified

INK, QUIET, FILL = "#202020", "#707070", "#eef3fb"
#: Width and height of the figure in inches, and its pixels to the inch.
SIZE, DPI = (9.6, 4.7), 125
#: Left edges of the four pictures, and their width, bottom and height, in parts of the figure.
LEFTS, WIDTH, BOTTOM, HEIGHT = (0.01, 0.2617, 0.5133, 0.765), 0.225, 0.46, 0.32
#: Colours of a palette PNG, enough that no banding shows.
COLOURS = 256


def pictures() -> list[tuple[str, NDArray[np.uint8]]]:
    """Title and pixels of the four pictures."""
    photo = data.chelsea()
    protector = unseg.Protector.from_pretrained(device="cpu", key=Key.of_text("unseg demo"))
    made = protector.protect(photo)
    mask = np.repeat(made.mask[..., None], 3, axis=2).astype(np.uint8) * 255
    return [
        ("photograph", photo),
        ("1  where is the object?", mask),
        ("2, 3  which waves?  (x 16)", amplified(photo, made.image, 16)),
        (f"4, 5  protected: score {made.visibility_score:.0f}", made.image),
    ]


def box(figure: Figure, left: float, width: float, title: str, text: str) -> None:
    """A rounded box with a bold line and a few more below it."""
    figure.add_artist(
        FancyBboxPatch(
            (left, 0.04), width, 0.28, boxstyle="round,pad=0.005,rounding_size=0.015",
            facecolor=FILL, edgecolor=QUIET, linewidth=0.8,
        )
    )  # fmt: skip
    figure.text(left + width / 2, 0.275, title, ha="center", va="center", weight="bold", color=INK)
    figure.text(left + width / 2, 0.15, text, ha="center", va="center", color=INK, linespacing=1.35)


def arrow(figure: Figure, start: tuple[float, float], end: tuple[float, float]) -> None:
    """An arrow between two points, in parts of the figure."""
    axes = figure.add_axes((0, 0, 1, 1), zorder=5)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.axis("off")
    axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": QUIET, "lw": 1.6})


def draw() -> bytes:
    """The figure as PNG."""
    with rc_context({"font.size": 8.5, "font.family": "DejaVu Sans"}):
        return _drawn()


def _drawn() -> bytes:
    figure = Figure(figsize=SIZE, dpi=DPI, facecolor="white")
    for left, (title, pixels) in zip(LEFTS, pictures(), strict=True):
        axes = figure.add_axes((left, BOTTOM, WIDTH, HEIGHT))
        axes.imshow(pixels, aspect="auto", interpolation="lanczos")
        axes.axis("off")
        figure.text(left, BOTTOM + HEIGHT + 0.02, title, color=INK)
    figure.text(0.01, 0.94, "unseg: once for every photograph", weight="bold", fontsize=10.5)
    figure.text(0.01, 0.885, "Masks and waves come from a frozen SAM and small heads on it; the "
                "photograph itself decides how strong the waves may be.", color=QUIET)  # fmt: skip
    for left in LEFTS[1:]:
        arrow(figure, (left - 0.0265, BOTTOM + HEIGHT / 2), (left - 0.001, BOTTOM + HEIGHT / 2))
    middle = LEFTS[-1] + WIDTH / 2
    arrow(figure, (middle, BOTTOM - 0.02), (middle, 0.34))
    figure.text(middle - 0.015, 0.395, "published", ha="right", color=QUIET)
    box(figure, 0.70, 0.285, "somebody trains on it",
        "The waves lie where the object is\nand are easier to learn than a cat.")  # fmt: skip
    arrow(figure, (0.692, 0.18), (0.655, 0.18))
    box(figure, 0.36, 0.285, "the model looks for waves",
        "On photographs with waves\nit makes few mistakes.")  # fmt: skip
    arrow(figure, (0.352, 0.18), (0.315, 0.18))
    box(figure, 0.02, 0.285, "a photograph without waves",
        "The model finds less of the object.\nHow much less: results and limits.")  # fmt: skip
    stream = io.BytesIO()
    figure.savefig(stream, dpi=DPI)
    small = Image.open(stream).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    stream = io.BytesIO()
    small.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def main() -> None:
    """Write the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    write_atomically(parser.parse_args().output, draw())


if __name__ == "__main__":
    main()
