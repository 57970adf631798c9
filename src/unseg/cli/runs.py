"""What the commands that train have in common: their folder, and how they end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from unseg.train.corpus import CorpusEntry

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it: 128 and the signal's number."""


@contextmanager
def resumable(output: Path, *, resume: bool) -> Iterator[None]:
    """Open a run's folder, and end with one line when Ctrl-C is pressed.

    Raises:
        UnsegError: when the folder holds a run that is not to be resumed, or cannot be written.
        typer.Exit: after Ctrl-C.
    """
    from unseg.train.run_folder import RunInterrupted, has_checkpoint, make_folder, refuse_run

    if not resume:
        refuse_run(output)
    elif not has_checkpoint(output):
        typer.echo(f"{output} has no checkpoint yet: starting anew")
    make_folder(output)
    try:
        yield
    except (RunInterrupted, KeyboardInterrupt) as stop:
        where = f"saved after step {stop.step}" if isinstance(stop, RunInterrupted) else "stopped"
        typer.echo(f"{where}: repeat the command with --resume to continue", err=True)
        raise typer.Exit(INTERRUPTED) from None


def run_record(
    corpora: Sequence[Path], entries: Sequence[CorpusEntry], seed: int
) -> dict[str, Any]:
    """Where a run comes from: corpora, command, versions and checksum of the data."""
    from unseg.provenance import provenance, sha256_files

    files = [path for entry in entries for path in (entry.image, entry.truth)]
    return {"corpora": _counts(corpora), **provenance(seed, sha256_files(files))}


def _counts(folders: Sequence[Path]) -> Mapping[str, int]:
    """How many images each corpus has, by its folder's name, or more of the path."""
    from unseg.train.corpus import scan

    names = [folder.resolve().name for folder in folders]
    longer = ["/".join(folder.resolve().parts[-2:]) for folder in folders]
    unique = names if len(set(names)) == len(names) else longer
    return {name: len(scan([folder])) for name, folder in zip(unique, folders, strict=True)}
