"""Colours, frames and files that every figure shares."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unseg.report.summary import CLEAN, OURS, STRIPES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Colour = tuple[float, float, float]

INK = "#1f2933"
QUIET = "#7b8794"
RULE = "#d9dee4"
OURS_COLOUR = "#0b6e6e"
COLOURS = {
    CLEAN: "#9aa5b1", "random": "#7fb2e5", "gaussian": "#b9a7e0", "constant": "#c9b037",
    "pattern": "#e08e45", "lsp": "#c8553d", "texture": "#8c2f39", "em": "#6a994e",
    "ar": "#a7c957", STRIPES: "#5b6ee1", OURS: OURS_COLOUR, "unseg-tint": OURS_COLOUR,
    "unseg-class": "#25a18e", "unseg-instance": "#6fcfb5",
}  # fmt: skip
SPARE = ("#5e548e", "#be95c4", "#355070", "#b56576", "#eaac8b", "#6d6875", "#457b9d", "#bc6c25")
WIDTH = 11.0
"""Inches."""


def colour_of(name: str, others: Sequence[str] = ()) -> str:
    """A condition's colour, the same in every figure; names that are new share the rest."""
    if name in COLOURS:
        return COLOURS[name]
    rest = [other for other in others if other not in COLOURS]
    return SPARE[rest.index(name) % len(SPARE)] if name in rest else SPARE[0]


def retention_colour(share: float) -> Colour:
    """Teal where little of the clean figure is left, pale at one half, orange where much is.

    Args:
        share: 0..1, clipped.

    Returns:
        RGB, each in [0, 1].
    """
    return _mixed(((0.36, 0.70, 0.68), (0.97, 0.97, 0.95), (0.95, 0.66, 0.44)), share)


def neutral_colour(share: float) -> Colour:
    """Grey, darker where less is left: for training without protection. RGB in [0, 1]."""
    return _mixed(((0.68, 0.72, 0.77), (0.82, 0.85, 0.88), (0.95, 0.96, 0.97)), share)


def _mixed(stops: tuple[Colour, Colour, Colour], share: float) -> Colour:
    share = min(max(share, 0.0), 1.0)
    start, end = stops[:2] if share < 0.5 else stops[1:]
    along = 2 * share if share < 0.5 else 2 * share - 1
    red, green, blue = (a + along * (b - a) for a, b in zip(start, end, strict=True))
    return red, green, blue


def new_figure(rows: int, height: float, width: float = WIDTH) -> tuple[Figure, Any]:
    """A figure with a grid of one column.

    Args:
        rows: of the grid.
        height: of a row, in inches.
        width: of the figure, in inches.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams.update({
        "font.family": "DejaVu Sans", "font.size": 9, "text.color": INK,
        "axes.titlesize": 10, "axes.titleweight": "bold", "axes.titlelocation": "left",
        "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
        "grid.color": RULE, "grid.linewidth": 0.7, "axes.axisbelow": True,
    })  # fmt: skip
    figure = pyplot.figure(figsize=(width, height * rows), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.1, w_pad=0.06)  # type: ignore[union-attr, call-arg]
    return figure, figure.add_gridspec(rows, 1)


def bare(axis: Axes) -> None:
    """No frame and no tick marks: the grid is enough."""
    for side in axis.spines.values():
        side.set_visible(False)
    axis.tick_params(length=0)


def legend(figure: Figure, names: Sequence[str]) -> None:
    """Names and colours of conditions, above everything."""
    from matplotlib.patches import Patch

    handles = [Patch(color=colour_of(name, names), label=name) for name in names]
    figure.legend(
        handles=handles, loc="outside upper left", ncols=min(len(names), 6), frameon=False,
        handlelength=1.0, handleheight=1.0, columnspacing=1.6,
    )  # fmt: skip


def save(figure: Figure, path: Path) -> None:
    """Write a PNG and free the figure."""
    from matplotlib import pyplot

    figure.savefig(path, dpi=130)
    pyplot.close(figure)
