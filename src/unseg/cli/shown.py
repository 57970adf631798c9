"""What commands show: progress, and text of others, which is shown as it is and does nothing."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from unseg.progress import Update


def plain(text: str) -> str:
    """Text in which control characters are written out: a name must not steer the terminal.

    Example:
        >>> plain("a\\x1b[31m.jpg"), plain("p[/b].jpg")
        ('a\\\\x1b[31m.jpg', 'p[/b].jpg')
    """
    return "".join(
        one.encode("unicode_escape").decode() if one != "\n" and _steers(one) else one
        for one in text
    )


def say(text: str, *, error: bool = False, colour: str | None = None) -> None:
    """Print a line, on standard error if it is one; nothing in it is markup."""
    options: dict[str, Any] = {"err": error}
    typer.secho(plain(text), fg=colour, **options)


def tell_stop(error: BaseException | None) -> None:
    """After Ctrl-C, say what was done and how to go on; the exit code is 130."""
    if isinstance(error, KeyboardInterrupt) and str(error):
        say(f"unseg: {error}", error=True, colour="yellow")


def _steers(character: str) -> bool:
    """Whether a character is a control, a direction mark or half a pair, and shows nothing."""
    return unicodedata.category(character) in {"Cc", "Cf", "Cs"}


class FolderProgress:
    """A bar on standard error with a rate and an ETA; errors are printed as they come."""

    def __init__(self, *, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"), TextColumn("ETA"), TimeRemainingColumn(),
            console=Console(stderr=True), disable=quiet,
        )  # fmt: skip
        self._tasks: dict[str, Any] = {}
        self._first: dict[str, int] = {}

    def __enter__(self) -> FolderProgress:
        self._bar.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._bar.stop()
        tell_stop(error)

    def update(self, update: Update) -> None:
        """Show what was done."""
        if update.stage not in self._tasks:
            self._tasks[update.stage] = self._bar.add_task(
                update.stage, total=update.total, completed=update.done, rate="-- images/s"
            )
            self._first[update.stage] = update.done
            if update.item is None:
                return
        task = self._tasks[update.stage]
        elapsed = self._bar.tasks[task].elapsed or 0.0
        fresh = update.done - self._first[update.stage]
        rate = f"{fresh / elapsed:.2f} images/s" if elapsed else "-- images/s"
        self._bar.update(task, completed=update.done, total=update.total, rate=rate)
        error = getattr(update.item, "error", None)
        if error is not None:
            say(f"unseg: {error}", error=True, colour="red")
