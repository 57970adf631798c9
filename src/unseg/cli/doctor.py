"""``unseg doctor``: whether this installation works."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from unseg.cli.shown import plain, say

if TYPE_CHECKING:
    from unseg.protect.checkup import Finding


def doctor(
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of text.")
    ] = False,
) -> None:
    """Check the installation: versions, device, threads, weights, extras, and one image.

    Exit codes: 0 unseg works, 1 something keeps it from working.

    Examples:

      unseg doctor

      unseg doctor --json
    """
    from dataclasses import asdict

    from unseg.protect.checkup import check_up

    found = check_up(device)
    wrong = [one for one in found if one.state == "wrong"]
    if as_json:
        content = {"works": not wrong, "findings": [asdict(one) for one in found]}
        typer.echo(json.dumps(content, indent=2))
    else:
        _print(found)
        names = ", ".join(f"{one.part}: {one.name}" for one in wrong)
        say(f"unseg does not work here ({names})" if wrong else "unseg works here")
    if wrong:
        raise typer.Exit(1)


def _print(found: list[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, title="unseg doctor")
    colours = {"fine": "", "missing": "dim", "wrong": "red"}
    before = ""
    for one in found:
        part = "" if one.part == before else one.part
        before = one.part
        style = colours[one.state]
        table.add_row(part, Text(plain(one.name), style), Text(plain(one.text), style))
    Console().print(table)
