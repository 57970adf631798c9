"""What victims answered, as pictures: clean test image, truth, and answers after training."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from unseg.evaluate.pictures import cells_of, names
from unseg.report.panels import INK, MARGIN, PAPER, QUIET
from unseg.report.summary import CLEAN, NO_DEFENCE, OURS, Series, grouped

SIDE = 220
"""Side of a picture on the sheet, in pixels."""
GUTTER = 8
HEAD = 44


@dataclass(frozen=True)
class Answers:
    """A sheet of one task and victim.

    Args:
        stem: for a file's name.
        caption: what is shown.
        picture: the sheet; its columns are named on it.
    """

    stem: str
    caption: str
    picture: Image.Image


def answer_sheets(entries: Sequence[Series]) -> Iterator[Answers]:
    """One sheet a task, of the first victim with pictures after clean and after our training."""
    shown = [e for e in entries if e.defence == NO_DEFENCE and e.standard]
    for task, group in grouped(shown, lambda e: e.heading).items():
        for victim, own in grouped(group, lambda e: e.victim).items():
            sheet = _sheet(own)
            if sheet is not None:
                stem = re.sub(r"\W+", "-", task).strip("-")
                yield Answers(stem, f"{task}, {victim}: clean test images", sheet)
                break


def _sheet(entries: Sequence[Series]) -> Image.Image | None:
    pictured = [(e, path) for e in entries if (path := _picture(e)) is not None]
    clean = next(((e, path) for e, path in pictured if e.condition == CLEAN), None)
    ours = [(e, path) for e, path in pictured if e.ours]
    if clean is None or not ours:
        return None
    _, images, truth = names(clean[0].runs[0])
    folder = clean[1].parent
    if not (folder / images).is_file() or not (folder / truth).is_file():
        return None
    columns = [
        ("clean test image", "", cells_of(folder / images)),
        ("truth", "", cells_of(folder / truth)),
        ("after clean training", _figure(clean[0]), cells_of(clean[1])),
    ]
    pattern = [(e, path) for e, path in pictured if e.label == "pattern"]
    # Ours at the standard budget comes first; another budget stands in for it.
    for entry, path in [*pattern[:1], min(ours, key=lambda pair: pair[0].label != OURS)]:
        columns.append((f"after {entry.label}", _figure(entry), cells_of(path)))
    return _pasted(columns)


def _picture(entry: Series) -> Path | None:
    """The answers of the first seed that has them."""
    for run, path in zip(entry.runs, entry.paths, strict=True):
        if path is not None:
            found = path.parent / names(run)[0]
            if found.is_file():
                return found
    return None


def _figure(entry: Series) -> str:
    return f"{entry.metric} {entry.mean:.3f}"


def _pasted(columns: Sequence[tuple[str, str, Sequence[Image.Image]]]) -> Image.Image:
    rows = min(len(pictures) for _, _, pictures in columns)
    step = SIDE + GUTTER
    sheet = Image.new(
        "RGB",
        (2 * MARGIN + len(columns) * step - GUTTER, 2 * MARGIN + HEAD + rows * step - GUTTER),
        PAPER,
    )
    draw = ImageDraw.Draw(sheet)
    for x, (title, note, pictures) in enumerate(columns):
        left = MARGIN + x * step
        draw.text((left, MARGIN - 4), title, fill=INK, font=ImageFont.load_default(16))
        draw.text((left, MARGIN + 16), note, fill=QUIET, font=ImageFont.load_default(14))
        method = Image.Resampling.LANCZOS if x == 0 else Image.Resampling.NEAREST
        for y, picture in enumerate(pictures[:rows]):
            sheet.paste(picture.resize((SIDE, SIDE), method), (left, MARGIN + HEAD + y * step))
    return sheet
