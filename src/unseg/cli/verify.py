"""``unseg verify``: check a protected folder."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unseg.cli.shown import say
from unseg.storage.stores import as_place

if TYPE_CHECKING:
    from unseg.protect.verify import Findings


def verify(
    folder: Annotated[
        Any,
        typer.Argument(
            metavar="OUT", parser=as_place, help="Folder or address that unseg protect wrote to."
        ),
    ],
    originals: Annotated[
        list[Any] | None,
        typer.Option(
            metavar="PATH",
            parser=as_place,
            help="Folder, file or address that was protected; repeat the option for several.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of text.")
    ] = False,
) -> None:
    """Check a protected folder against its manifest, and against the originals if given.

    Without --originals: checksums, sizes, masks, missing and unlisted files. With them also the
    largest change inside and outside each mask, PSNR, SSIM and visibility score.
    Exit codes: 0 everything matches, 1 something does not, 2 there is nothing to verify.

    Examples:

      unseg verify protected

      unseg verify protected --originals photos
    """
    from rich.console import Console
    from rich.progress import Progress

    from unseg.protect.verify import verify_folder

    with Progress(console=Console(stderr=True), disable=as_json) as bar:
        task = bar.add_task("verifying")
        findings = verify_folder(
            folder,
            originals or [],
            progress=lambda one: bar.update(task, completed=one.done, total=one.total),
        )
    if as_json:
        content = {
            "output": str(folder),
            "checked": findings.checked,
            "compared_with_originals": findings.compared,
            "unchanged": [record.source for record in findings.unchanged],
            "not_protected": [
                {"source": record.source, "error": record.error} for record in findings.unprotected
            ],
            "not_in_manifest": findings.unlisted,
            "problems": [asdict(problem) for problem in findings.problems],
        }
        typer.echo(json.dumps(content, indent=2))
    else:
        _print_findings(findings, bool(originals))
    if not findings.ok:
        raise typer.Exit(1)


def _print_findings(findings: Findings, with_originals: bool) -> None:
    for problem in findings.problems:
        say(f"{problem.file}: {problem.text}", colour="red")
    for record in findings.unprotected:
        say(f"not protected: {record.error}", colour="yellow")
    if findings.unchanged:
        say(
            f"{len(findings.unchanged)} images were left as they are because their masks have no "
            "foreground"
        )
    if findings.unlisted:
        say(
            f"{len(findings.unlisted)} images in --originals are not in the manifest (first: "
            f"{findings.unlisted[0]}). They were added later or left out, and are not protected",
            colour="yellow",
        )
    compared = (
        f", {findings.compared} compared with their originals"
        if with_originals
        else "; the bound was not measured: give --originals for that"
    )
    say(f"{findings.checked} images checked{compared}; {len(findings.problems)} problems")
