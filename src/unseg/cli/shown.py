"""Text of others on the terminal: names of files are shown as they are, and do nothing."""

from __future__ import annotations

import unicodedata
from typing import Any

import typer


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


def _steers(character: str) -> bool:
    """Whether a character is a control, a direction mark or half a pair, and shows nothing."""
    return unicodedata.category(character) in {"Cc", "Cf", "Cs"}
