"""What is written after the options of ``unseg evaluate``, as lists, numbers and settings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from unseg.errors import UnsegError


def words(given: Iterable[str] | None) -> list[str]:
    """Comma-separated and repeated names, each once; commas in parentheses part nothing.

    Example:
        >>> words(["a,b", "c, a", "d(x=1,y=2)"])
        ['a', 'b', 'c', 'd(x=1,y=2)']
    """
    parts = [part.strip() for text in given or [] for part in re.split(r",(?![^()]*\))", text)]
    return list(dict.fromkeys(part for part in parts if part))


def seed_numbers(given: list[str]) -> list[int]:
    """Seeds as numbers."""
    if not all(word.isdecimal() and int(word) < 1 << 32 for word in given):
        raise UnsegError(
            f"--seeds {','.join(given)}: expected numbers from 0 to {(1 << 32) - 1}, such as 0,1,2"
        )
    return [int(word) for word in given]


def victim_settings(pairs: Iterable[str] | None, **short: int | None) -> dict[str, Any]:
    """``name=value`` pairs; what reads as JSON is a number, true, false or null.

    Args:
        pairs: as they were given.
        short: settings that have an option of their own.

    Example:
        >>> victim_settings(["width=8", "mirror=false", "weights=a.bin"], steps=3)
        {'width': 8, 'mirror': False, 'weights': 'a.bin', 'steps': 3}
    """
    found: dict[str, Any] = {}
    for pair in pairs or []:
        name, sign, text = pair.partition("=")
        if not sign or not name.isidentifier():
            raise UnsegError(f"--victim-set {pair}: expected name=value, for example width=8")
        try:
            found[name] = json.loads(text)
        except json.JSONDecodeError:
            found[name] = text
        if isinstance(found[name], (list, dict)):
            raise UnsegError(f"--victim-set {pair}: expected one value, not several")
    return found | {name: value for name, value in short.items() if value is not None}
