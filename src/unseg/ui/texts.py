"""What the page says: sentences, escaped, and small tables."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from unseg.protect.judge import words_of
from unseg.protect.manifest import Record
from unseg.ui.objects import Outcome

#: Where the first outlines come from, by the name of the mask source.
_FOUND = {
    "salient": "what stands out",
    "proposed": "what looks like an object, as nothing stands out",
    "whole-image": "the whole picture, as no object was found: click on what you mean",
}
_DONE: dict[Outcome, str] = {
    "added": "Added.",
    "removed": "Removed.",
    "nothing": "No object was found there: click nearer to its middle.",
}


def sentence(text: str) -> str:
    """An error as a sentence.

    Example:
        >>> sentence("a.jpg is empty (0 bytes): copy the file again")
        'a.jpg is empty (0 bytes): copy the file again.'
    """
    plain = " ".join(text.split())
    return plain if plain.endswith((".", "!", "?")) else f"{plain}."


def unexpected(error: BaseException) -> str:
    """What to say of an error that nobody foresaw."""
    text = str(error).splitlines()[0] if str(error) else ""
    return sentence(f"something failed ({type(error).__name__}: {text}): please report this")


def notice(lines: Iterable[str], kind: str = "problem") -> str:
    """Sentences in a box.

    Args:
        lines: plain text, one sentence or more each.
        kind: ``problem``, or ``note``.
    """
    shown = "".join(f"<p>{html.escape(line)}</p>" for line in lines)
    role = "alert" if kind == "problem" else "status"
    return f'<div class="unseg-{kind}" role="{role}">{shown}</div>' if shown else ""


def about_found(source: str, count: int) -> str:
    """What the outlines are at first."""
    what = _FOUND.get(source, "what was found")
    if source == "whole-image":
        return f"Outlined: {what}."
    return f"Outlined: {what} ({count} {'piece' if count == 1 else 'pieces'})."


def about_click(outcome: Outcome, count: int, share: float) -> str:
    """What a click did.

    Args:
        outcome: see :meth:`~unseg.ui.objects.Objects.toggle`.
        count: objects that are chosen now.
        share: of the picture that they cover, 0..1.
    """
    if not count:
        return f"{_DONE[outcome]} Nothing is chosen now."
    much = " That is nearly the whole picture." if share > 0.85 else ""
    objects = "object is" if count == 1 else "objects are"
    return f"{_DONE[outcome]} {count} {objects} chosen, {share:.0%} of the picture.{much}"


def bar(done: int, total: int, text: str) -> str:
    """A bar with what is done."""
    share = 100 * done / max(1, total)
    return (
        f'<div class="unseg-bar" role="progressbar" aria-valuemin="0" aria-valuemax="{total}" '
        f'aria-valuenow="{done}"><i style="width:{share:.1f}%"></i></div>'
        f'<p class="unseg-quiet" role="status">{html.escape(text)}</p>'
    )


def figures(rows: Sequence[tuple[str, str]]) -> str:
    """A table of what was measured.

    Args:
        rows: plain text: what it is, and the finding.
    """
    cells = "".join(
        f"<tr><th scope='row'>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
        for name, value in rows
    )
    return f'<table class="unseg-figures">{cells}</table>'


def rows_of(record: Record) -> list[tuple[str, str]]:
    """What was measured of one written file."""
    if record.error is not None:
        return [("Not protected", sentence(record.error))]
    rows = []
    if record.visibility_score is not None:
        score = record.visibility_score
        rows.append(("Score", f"{score:.1f} of 100: {words_of(score)} (SSIMULACRA2)"))
    if record.psnr is not None:
        rows.append(("PSNR", f"{record.psnr:.1f} dB"))
    if record.change is not None:
        inside, outside = record.change.inside, record.change.outside
        kind = "" if record.lossless else ", which JPEG rounds"
        rows.append(
            ("Largest change", f"{inside:g} of 255 steps inside, {outside:g} outside{kind}")
        )
    return rows + [("Look at this", sentence(text)) for text in record.warnings]


def listed(records: Sequence[Record]) -> str:
    """A table of a whole batch."""
    rows = []
    for record in records:
        name = html.escape(record.source)
        if record.error is not None:
            rows.append(f'<tr><td>{name}</td><td colspan="2">{html.escape(sentence(record.error))}'
                        "</td></tr>")  # fmt: skip
            continue
        score = "" if record.visibility_score is None else f"{record.visibility_score:.1f}"
        psnr = "" if record.psnr is None else f"{record.psnr:.1f} dB"
        rows.append(f"<tr><td>{name}</td><td>{score}</td><td>{psnr}</td></tr>")
    head = "<tr><th>Photograph</th><th>Score</th><th>PSNR</th></tr>"
    return f'<div class="unseg-list"><table>{head}{"".join(rows)}</table></div>'


def outcome(records: Sequence[Record], total: int, *, stopped: bool) -> str:
    """What became of a batch, in a sentence."""
    done = sum(record.error is None for record in records)
    failed = len(records) - done
    if total == 1 and done:
        return "The photograph is protected."
    if total == 1:
        return "The photograph is not protected."
    parts = [f"{done} of {total} photographs are protected"]
    if failed:
        parts.append(f"{failed} failed")
    return f"{'Stopped: ' if stopped else ''}{', '.join(parts)}."
