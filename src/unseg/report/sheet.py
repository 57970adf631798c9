"""A page of thumbnails for a run: original, protected, noise and mask of every image.

It needs no other file and loads nothing: thumbnails are data URIs, and the policy in its head
allows no script but its own.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unseg import files
from unseg.errors import UnsegError
from unseg.images.ranges import RangeChoice
from unseg.images.reader import decode, rgb_of
from unseg.masks.labels import read_label_map
from unseg.masks.named import named_text
from unseg.masks.overlay import overlaid
from unseg.protect.judge import words_of
from unseg.protect.manifest import Record
from unseg.protect.verify import find_original
from unseg.report.panels import amplified
from unseg.report.shown import GAIN

#: Long side of the thumbnails in pixels, and images on a page, those with most visible noise first.
THUMBNAIL, MOST = 240, 1000

_STYLE = """
body { margin: 0; padding: 1.5rem; color: #1f2933; background: #f6f7f8;
  font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; }
p { max-width: 75ch; margin: .3rem 0; }
button { font: inherit; padding: .2rem .8rem; border: 1px solid #c3ccd4; border-radius: 999px;
  background: #fff; cursor: pointer; }
article { background: #fff; border: 1px solid #e1e6eb; border-radius: 10px; padding: 1rem;
  margin: 1rem 0; }
h2 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
.row { display: flex; flex-wrap: wrap; gap: .8rem; }
figure { margin: .5rem 0 0; }
figcaption, .quiet { color: #66727f; font-size: .85rem; }
img { display: block; max-width: 100%; }
.bad { border-left: 4px solid #b4501e; }
"""

_SCRIPT = """
const list = document.querySelector("main");
for (const button of document.querySelectorAll("button")) {
  button.onclick = () => {
    const [key, sign] = button.dataset.by.split(" ");
    const compare = key === "name"
      ? (a, b) => a.dataset.name.localeCompare(b.dataset.name)
      : (a, b) => a.dataset.score - b.dataset.score;
    list.append(...[...list.children].sort((a, b) => Number(sign) * compare(a, b)));
  };
}
"""


@dataclass(frozen=True)
class SheetRow:
    """An image of the page.

    Args:
        name: of the image.
        score: of visibility, at most 100; None where nothing was measured.
        lines: what is said of it.
        pictures: captions and thumbnails as JPEG.
        problem: whether it failed or there is a warning.
    """

    name: str
    score: float | None
    lines: Sequence[str]
    pictures: Sequence[tuple[str, bytes]] = ()
    problem: bool = False


def check_sheet(sheet: Path, out: Path, *, overwrite: bool) -> None:
    """Find out whether the page may be written, before anything slow is done.

    Args:
        sheet: the page.
        out: the output folder: it is published, and the page shows the originals.
        overwrite: whether a page that is there is replaced.

    Raises:
        UnsegError: when it may not.
    """
    if sheet.suffix.lower() not in {".html", ".htm"}:
        raise UnsegError(f"--sheet {sheet}: expected the name of a page, ending in .html")
    if sheet.resolve().is_relative_to(out.resolve()):
        raise UnsegError(
            f"--sheet {sheet} lies in the output folder {out}, and shows the originals: choose a "
            "place that is not published"
        )
    files.refuse_taken(sheet.parent, sheet.name, overwrite=overwrite)


def write_sheet(
    sheet: Path, records: Sequence[Record], out: Path, originals: Sequence[Path]
) -> None:
    """Write the page of a run.

    Args:
        sheet: the file to write.
        records: of the run's images.
        out: the output folder.
        originals: the inputs of the run.

    Raises:
        UnsegError: when the page cannot be written. An image that cannot be read has no picture.
    """
    ordered = sorted(records, key=_visible)
    rows = [sheet_row(record, out, originals) for record in ordered[:MOST]]
    page = sheet_page(rows, title=f"unseg: {out.name}", more=len(records) - len(rows))
    files.write_atomically(sheet, page.encode())


def _visible(record: Record) -> tuple[bool, float]:
    """Errors first, then what is seen most."""
    score = record.visibility_score
    return record.status != "error", 101.0 if score is None else score


def sheet_row(record: Record, out: Path, originals: Sequence[Path]) -> SheetRow:
    """What the page says and shows of an image."""
    name, score = record.source, record.visibility_score
    if record.status == "error":
        return SheetRow(name, None, [record.error or "failed"], problem=True)
    lines = ["left as it is: the mask has no foreground"]
    if record.status == "protected" and score is not None:
        lines = [f"{words_of(score)} ({score:.0f})"]
    share = "" if record.foreground_share is None else f", {record.foreground_share:.0%}"
    named = f", {named_text(record.found)}" if record.found else ""
    lines.append(f"mask: {record.mask_source}{share} of the image{named}")
    if record.change is not None and record.status == "protected":
        lines.append(
            f"largest change {record.change.inside:g} steps inside, {record.change.outside:g} "
            "outside"
        )
    lines += [f"warning: {text}" for text in record.warnings]
    try:
        pictures = _pictures(record, out, originals)
    except UnsegError as error:
        return SheetRow(name, score, [*lines, f"no picture: {error}"], problem=True)
    return SheetRow(name, score, lines, pictures, bool(record.warnings))


def _pictures(record: Record, out: Path, originals: Sequence[Path]) -> list[tuple[str, bytes]]:
    choice: RangeChoice = record.range or "full"
    before = rgb_of(decode(find_original(record, originals), record.source, choice))
    written = files.read_bytes(out / record.output, record.output)
    after = rgb_of(decode(written, record.output, choice))
    found = [
        ("original", before),
        ("protected", after),
        (f"noise x{GAIN}", amplified(before, after, GAIN)),
    ]
    if record.mask is not None:
        mask = read_label_map(out / record.mask, record.mask).values > 0
        found.append(("mask", overlaid(before, mask)))
    return [(caption, _thumbnail(picture)) for caption, picture in found]


def _thumbnail(picture: NDArray[np.uint8]) -> bytes:
    small = Image.fromarray(picture)
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=85)
    return stream.getvalue()


def sheet_page(rows: Iterable[SheetRow], *, title: str, more: int = 0) -> str:
    """The page.

    Args:
        rows: its images, in this order.
        title: of the page.
        more: images that are left out.
    """
    allowed = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{allowed}'"
    )
    left_out = f"<p>{more} more images with less visible noise are not shown.</p>" if more else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_escaped(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{_escaped(title)}</h1>\n"
        "<p>This page shows the originals: keep it to yourself. Scores are SSIMULACRA2, of which "
        "100 is no difference. The noise is 16 times as strong as it is, around grey.</p>\n"
        f"{left_out}"
        '<p><button data-by="score 1">most visible first</button> '
        '<button data-by="score -1">least visible first</button> '
        '<button data-by="name 1">by name</button></p>\n'
        f"<main>\n{''.join(map(_article, rows))}</main>\n<script>{_SCRIPT}</script>\n"
        "</body>\n</html>\n"
    )


def _article(row: SheetRow) -> str:
    lines = "<br>\n".join(map(_escaped, row.lines))
    pictures = "".join(
        f'<figure><img alt="{_escaped(caption)} of {_escaped(row.name)}" '
        f'src="data:image/jpeg;base64,{base64.b64encode(data).decode()}">'
        f"<figcaption>{_escaped(caption)}</figcaption></figure>\n"
        for caption, data in row.pictures
    )
    score = 101.0 if row.score is None else row.score
    return (
        f'<article{" class=bad" if row.problem else ""} data-name="{_escaped(row.name)}" '
        f'data-score="{score:g}">\n<h2>{_escaped(row.name)}</h2>\n<p>{lines}</p>\n'
        f'<div class="row">\n{pictures}</div>\n</article>\n'
    )


def _escaped(text: str) -> str:
    """Text as a page shows it; control characters and halves of pairs are question marks."""
    shown = "".join(one if one.isprintable() or one == " " else "?" for one in text)
    return html.escape(shown, quote=True)
