"""What every importer returns."""

from __future__ import annotations

from dataclasses import dataclass

from unseg.models.sam.base import Architecture
from unseg.models.weights.layout import State


@dataclass(frozen=True)
class Source:
    """Weights read from somebody else's file, already under our names.

    Args:
        format: which importer read it.
        state: our names to tensors, for :class:`~unseg.models.sam.base.SamBase`.
        design: the model's shape.
        sha256: of the bytes that were read.
        notes: warnings the user should see.
    """

    format: str
    state: State
    design: Architecture
    sha256: str
    notes: tuple[str, ...] = ()


def first_line(error: Exception) -> str:
    """A library's message, cut to one short line that fits into ours."""
    text = str(error).strip()
    return text.splitlines()[0][:120] if text else type(error).__name__
