"""``unseg benchmark``: how fast this machine protects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unseg.cli.shown import FolderProgress
from unseg.errors import UnsegError

if TYPE_CHECKING:
    from typing import Any


def benchmark(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE.json", help="Store the run.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE.md", help="Write a page of tables.")
    ] = None,
    stored: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE.json", help="Show a stored run; measure nothing."),
    ] = None,
    repeats: Annotated[
        int, typer.Option(min=2, max=1000, help="How often each measurement is repeated.")
    ] = 5,
    sizes: Annotated[
        str, typer.Option(metavar="WxH,...", help="Sizes of the photographs.")
    ] = "1024x768,4000x3000",
    masks_only: Annotated[
        bool, typer.Option("--masks-only", help="Leave out photographs without masks.")
    ] = False,
    row: Annotated[
        int, typer.Option("--row", min=1, max=100, help="Photographs in a row, for the pace.")
    ] = 4,
    long: Annotated[
        int,
        typer.Option(
            "--long",
            min=0,
            metavar="IMAGES",
            help="Also protect so many small images in one run, to see whether the pace lasts.",
        ),
    ] = 0,
    batches: Annotated[
        str,
        typer.Option(
            metavar="N,...", help="Images that the network is also given at once, for a GPU."
        ),
    ] = "",
    reference: Annotated[
        bool, typer.Option(help="Also time the encoder of a ViT-B, the reference's size.")
    ] = True,
    runtimes: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="What scripts/runtimes.py wrote, to be shown."),
    ] = None,
    note: Annotated[
        str, typer.Option(metavar="TEXT", help="What else is to be known of the run; it is kept.")
    ] = "",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
) -> None:
    """Measure how fast photographs are protected, stage by stage, beside the machine's limits.

    Takes a few minutes; let the machine do nothing else. Photographs are drawn, and nothing is
    kept but what -o and --markdown name.

    Examples:

      unseg benchmark

      unseg benchmark -o run.json --markdown run.md --repeats 9 --long 1000

      unseg benchmark --from docs/performance.json --markdown docs/performance.md
    """
    from unseg.files import write_atomically
    from unseg.report.performance import performance_page

    trials = None if runtimes is None else _read(runtimes, "rows", "scripts/runtimes.py")
    if stored is not None:
        run = _read(stored, "cases", "unseg benchmark -o")
        if run.get("format") != 2:
            raise UnsegError(
                f"{stored} has format {run.get('format')}: measure again with this version"
            )
        command = f"unseg benchmark -o {stored} --markdown {markdown or 'FILE.md'}"
    else:
        from unseg.protect.benchmark import benchmark as measure

        with FolderProgress(quiet=False) as shown:
            run = measure(
                sizes=[_size(part) for part in sizes.split(",")], repeats=repeats, device=device,
                found=not masks_only, row=row, long=long,
                batches=_numbers(batches), reference=reference, progress=shown.update,
            )  # fmt: skip
        command = f"unseg benchmark -o {output or 'FILE.json'} --markdown {markdown or 'FILE.md'}"
    if note:
        run["note"] = note
    if run["long"] is not None:
        command += f" --long {run['long']['images']}"
    if runtimes is not None:
        command += f" --runtimes {runtimes}"
    page = performance_page(run, command, trials)
    if output is not None:
        write_atomically(output, (json.dumps(run, indent=1) + "\n").encode())
    if markdown is not None:
        write_atomically(markdown, page.encode())
    else:
        typer.echo(page)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.strip().partition("x")
    if not (width.isdecimal() and height.isdecimal() and min(int(width), int(height)) >= 32):
        raise UnsegError(f"--sizes {text}: expected widths and heights, such as 4000x3000")
    return int(width), int(height)


def _numbers(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdecimal() and 0 < int(part) <= 1024 for part in parts):
        raise UnsegError(f"--batches {text}: expected numbers of images, such as 1,4,16")
    return [int(part) for part in parts]


def _read(path: Path, needed: str, writer: str) -> dict[str, Any]:
    try:
        run = json.loads(path.read_text("utf-8"))
        run[needed]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnsegError(
            f"{path} cannot be read ({error}): expected a file that {writer} wrote"
        ) from error
    return dict(run)
