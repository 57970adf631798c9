"""The report as one self-contained HTML page."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from unseg.report.content import Table, TableCell, by_task, overview, task_tables
from unseg.report.failures import failures, not_measurable
from unseg.report.figures.style import retention_colour
from unseg.report.markdown import reading
from unseg.report.sources import MOST, commands, hours, versions
from unseg.report.summary import FAILS, Series, grouped, unique
from unseg.report.tables import per_cent

STYLE = """
:root { --ink: #1f2933; --quiet: #66727f; --rule: #e1e6eb; --ours: #0b6e6e; --warn: #b4501e; }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: #f6f7f8;
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1200px; margin: 0 auto; padding: 2.5rem 1.5rem 4rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.01em; }
h2 { font-size: 1.3rem; margin: 0 0 .8rem; }
h3 { font-size: 1rem; margin: 1.6rem 0 .5rem; }
p, li { max-width: 75ch; }
.quiet, figcaption { color: var(--quiet); }
section { background: #fff; border: 1px solid var(--rule); border-radius: 10px;
  padding: 1.4rem 1.5rem; margin: 1.2rem 0; }
nav { margin: 1rem 0; display: flex; flex-wrap: wrap; gap: .4rem; }
nav a { color: var(--ours); text-decoration: none; border: 1px solid var(--rule);
  border-radius: 999px; padding: .1rem .7rem; background: #fff; }
.numbers { display: flex; flex-wrap: wrap; gap: 2rem; margin: 1.2rem 0 0; padding: 0; }
.numbers div { display: flex; flex-direction: column-reverse; }
.numbers dt { color: var(--quiet); font-size: .85rem; }
.numbers dd { margin: 0; font-size: 1.6rem; font-weight: 600; line-height: 1.2; }
.wide { overflow-x: auto; }
table { border-collapse: separate; border-spacing: 2px; font-size: 13px;
  font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; padding: .3rem .6rem; white-space: nowrap;
  vertical-align: bottom; }
td { padding: .2rem .55rem; line-height: 1.35; text-align: right;
  white-space: nowrap; border-radius: 3px; }
tbody th { position: sticky; left: 0; background: #fff; vertical-align: middle; }
td.quiet { color: var(--quiet); background: repeating-linear-gradient(-45deg, #fff, #fff 5px,
  #f0f2f4 5px, #f0f2f4 10px); }
td b { display: block; }
td span { font-size: 11px; }
td.plain { background: #f3f5f7; }
.scale { display: inline-flex; vertical-align: middle; margin: 0 .4rem; border-radius: 3px;
  overflow: hidden; }
.scale i { width: 1.4rem; height: .8rem; display: block; }
.fails { border-left: 4px solid var(--warn); }
.fails ul { padding-left: 1.1rem; }
figure { margin: 1.2rem 0; }
img { max-width: 100%; height: auto; }
code { background: #f0f2f4; border-radius: 4px; padding: .1rem .3rem; font-size: 12.5px;
  overflow-wrap: anywhere; }
@media print { body { background: #fff; } section { break-inside: avoid; } }
"""


def html_report(
    entries: Sequence[Series],
    command: str,
    figures: Sequence[tuple[str, Path]],
    answers: Sequence[tuple[str, Path]],
) -> str:
    """The whole page; it needs no other file.

    Args:
        entries: joined results.
        command: that makes this page from the result files.
        figures: captions and PNG files of figures.
        answers: captions and PNG files of what victims answered.
    """
    return "\n".join(_parts(entries, command, figures, answers)) + "\n"


def _parts(
    entries: Sequence[Series],
    command: str,
    figures: Sequence[tuple[str, Path]],
    answers: Sequence[tuple[str, Path]],
) -> Iterator[str]:
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>What protection does</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>"
    yield from _head(entries, list(by_task(entries)))
    yield '<section id="glance">\n<h2>At a glance</h2>'
    yield f'<p class="quiet">{escape(reading(entries))} Colour is retention: {_scale()}</p>'
    yield from _table(overview(entries))
    yield "</section>"
    yield from _failures(entries)
    if figures:
        yield '<section id="figures">\n<h2>Figures</h2>'
        yield from (_image(caption, path) for caption, path in figures)
        yield "</section>"
    if answers:
        yield '<section id="answers">\n<h2>What victims answer</h2>'
        yield (
            "<p>Only of data whose licence lets its images be shown. Protected training was "
            "tested on the same clean images.</p>"
        )
        yield from (_image(caption, path) for caption, path in answers)
        yield "</section>"
    for task, group in by_task(entries).items():
        yield f'<section id="{_anchor(task)}">\n<h2>{escape(task)}</h2>'
        for table in task_tables(group):
            yield f"<h3>{escape(table.title)}</h3>"
            yield from _table(table)
        yield from _commands(group)
        yield "</section>"
    yield f'<p class="quiet">Written by <code>{escape(command)}</code> from result files alone.</p>'
    yield "</main>\n</body>\n</html>"


def _head(entries: Sequence[Series], tasks: Sequence[str]) -> Iterator[str]:
    runs = [run for entry in entries for run in entry.runs]
    numbers = {
        "runs": len(runs),
        "tasks": len(tasks),
        "victims": len({run.named("victim") for run in runs}),
        "conditions": len(unique(e.condition for e in entries if e.standard)),
        "defences": len({e.defence for e in entries} - {"none"}),
        "hours of training": f"{hours(runs):.1f}",
    }
    yield "<header>\n<h1>What protection does</h1>"
    yield "<p>Victims trained on changed images and tested on clean ones.</p>"
    yield '<dl class="numbers">'
    yield from (f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in numbers.items())
    yield "</dl>\n<nav>"
    links = {"glance": "at a glance", "fails": "where it fails", "figures": "figures"}
    links |= {_anchor(task): task for task in tasks}
    yield from (f'<a href="#{name}">{escape(text)}</a>' for name, text in links.items())
    yield "</nav>"
    yield f'<p class="quiet">{escape(", ".join(versions(runs)))}</p>\n</header>'


def _failures(entries: Sequence[Series]) -> Iterator[str]:
    yield '<section id="fails" class="fails">\n<h2>Where protection fails</h2>'
    yield (
        f"<p>Ours where more than {per_cent(FAILS)} is left; baselines that beat the best of "
        "ours at the same budget; hand-made waves at the same visibility that ours does not beat; "
        f"defences that leave more than {per_cent(FAILS)}; and mixed sets that beat their clean "
        "rest. Differences of a point or less are left out.</p>"
    )
    found = failures(entries)
    yield "<ul>"
    for where, group in grouped(found, lambda f: f.where).items():
        inner = "".join(f"<li>{escape(failure.what)}</li>" for failure in group)
        yield f"<li><strong>{escape(where)}</strong><ul>{inner}</ul></li>"
    if not found:
        yield "<li>Nowhere in these runs.</li>"
    yield "</ul>"
    missing = not_measurable(entries)
    if missing:
        yield "<h3>Not measurable here</h3>\n<ul>"
        yield from (f"<li>{escape(line)}</li>" for line in missing)
        yield "</ul>"
    yield "</section>"


def _table(table: Table) -> Iterator[str]:
    yield '<div class="wide"><table>\n<thead><tr>'
    yield "".join(f"<th>{escape(name)}</th>" for name in (table.corner, *table.columns))
    yield "</tr></thead>\n<tbody>"
    for name, cells in table.rows:
        yield f"<tr><th>{escape(name)}</th>{''.join(map(_cell, cells))}</tr>"
    yield "</tbody></table></div>"
    yield from (f'<p class="quiet">{escape(note)}</p>' for note in table.notes)


def _cell(cell: TableCell) -> str:
    text = escape(cell.text)
    if cell.left:
        text = f"<b>{escape(cell.left)}</b><span>{text}</span>"
    if cell.quiet:
        return f'<td class="quiet">{text}</td>'
    if cell.share is None:
        return f'<td class="plain">{text}</td>'
    return f'<td style="background: {_css(cell.share)}">{text}</td>'


def _css(share: float) -> str:
    red, green, blue = (round(255 * value) for value in retention_colour(share))
    return f"rgb({red}, {green}, {blue})"


def _scale() -> str:
    steps = "".join(f'<i style="background: {_css(i / 10)}"></i>' for i in range(11))
    return f'0% <span class="scale">{steps}</span> 100%; hatched: measures nothing, or did not run.'


def _commands(entries: Sequence[Series]) -> Iterator[str]:
    found = commands(entries)
    if found:
        yield "<h3>Commands</h3>\n<ul>"
        yield from (
            f"<li><code>{escape(command)}</code> ({count} runs)</li>"
            for command, count in found[:MOST]
        )
        if len(found) > MOST:
            yield f"<li>and {len(found) - MOST} others; every result file holds its own</li>"
        yield "</ul>"


def _image(caption: str, path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    return (
        f'<figure><img alt="{escape(caption, quote=True)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _anchor(task: str) -> str:
    return "task-" + "".join(c if c.isalnum() else "-" for c in task)
