"""Defences a trainer may use. A new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable

from unseg.evaluate.defences.base import Defence, NoDefence
from unseg.evaluate.defences.jpeg import Jpeg
from unseg.evaluate.defences.resize import Resize

DEFENCES: dict[str, Callable[[], Defence]] = {
    "none": NoDefence,
    "jpeg75": lambda: Jpeg(quality=75),
    "resize50": lambda: Resize(scale=0.5),
}

__all__ = ["DEFENCES", "Defence"]
