"""``unseg report``: tables, figures and pages from result files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unseg.errors import UnsegError
from unseg.extras import require
from unseg.files import write_atomically

if TYPE_CHECKING:
    from unseg.report.summary import Series


def report(
    results: Annotated[
        list[Path], typer.Argument(help="Result files, or folders of them, searched recursively.")
    ],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder for index.html and the figures.")
    ] = None,
    markdown: Annotated[
        Path | None,
        typer.Option(help="Write the tables to this Markdown file (with or without -o)."),
    ] = None,
    readme: Annotated[
        Path | None,
        typer.Option(
            help="Put a short table between the markers of this file (with or without -o); - "
            "prints it."
        ),
    ] = None,
) -> None:
    """Make a self-contained page, figures and Markdown from the result files of unseg evaluate.

    Nothing else is read, and the results may be incomplete.

    Examples:

      unseg report results -o report

      unseg report docs/results/real --markdown docs/results.md

      unseg report docs/results/real --readme README.md
    """
    if out is None and markdown is None and readme is None:
        raise UnsegError("report needs -o FOLDER for the page, --markdown FILE, or --readme FILE")
    require("eval", "unseg report", packages=("matplotlib",))
    from unseg.provenance import provenance
    from unseg.report.markdown import markdown_report
    from unseg.report.readme import inserted, readme_table
    from unseg.report.summary import find_results, summarise

    require("eval", "unseg report", packages=("matplotlib",))
    found = find_results(results)
    entries = summarise(list(found.values()), {result.key: path for path, result in found.items()})
    command = provenance(0)["command"]
    try:
        if out is not None:
            page = _page(entries, command, out)
            typer.echo(f"wrote {page}")
        if markdown is not None:
            write_atomically(markdown, markdown_report(entries, command).encode())
            typer.echo(f"wrote {markdown}")
        if readme is not None:
            table = readme_table(entries)
            if str(readme) == "-":
                typer.echo(table, nl=False)
            else:
                text = inserted(readme.read_text(encoding="utf-8"), table)
                write_atomically(readme, text.encode())
                typer.echo(f"wrote {readme}")
    except OSError as error:
        raise UnsegError(
            f"the report cannot be written ({error}): choose a writable place"
        ) from error


def _page(entries: list[Series], command: str, out: Path) -> Path:
    from unseg.report.answers import answer_sheets
    from unseg.report.figures import FIGURES
    from unseg.report.page import html_report

    out.mkdir(parents=True, exist_ok=True)
    figures, answers = [], []
    for stem, (caption, draw) in FIGURES.items():
        path = out / f"{stem}.png"
        if draw(entries, path):
            figures.append((caption, path))
    for sheet in answer_sheets(entries):
        path = out / f"answers-{sheet.stem}.png"
        sheet.picture.save(path, optimize=True)
        answers.append((sheet.caption, path))
    page = out / "index.html"
    write_atomically(page, html_report(entries, command, figures, answers).encode())
    return page
