"""What a run over a folder did."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unseg.protect.manifest import Record


@dataclass(frozen=True)
class FolderReport:
    """What a run over a folder did.

    Args:
        out: the output folder.
        records: one an image of this run, sorted by output.
        description: content of OUT/unseg-run.json: settings, model, provenance and totals.
        unused_masks: masks that belong to no image, by name. They are a warning where some image
            has no mask: the names may not fit. A part of a data set may well be protected alone.
    """

    out: Path
    records: list[Record]
    description: dict[str, Any]
    unused_masks: list[str]

    @property
    def totals(self) -> dict[str, Any]:
        """Counts and means over the images."""
        return dict(self.description["totals"])

    @property
    def errors(self) -> list[Record]:
        """Records of the images that could not be protected."""
        return [record for record in self.records if record.status == "error"]

    @property
    def ok(self) -> bool:
        """Whether every image was dealt with and at least one is protected."""
        return not self.errors and self.totals["protected"] > 0

    @property
    def warnings(self) -> dict[str, list[str]]:
        """What may have gone wrong in silence: texts, each with the names it is said of."""
        found: dict[str, list[str]] = {}
        if self.unused_masks and self.totals["without_mask_file"]:
            found["masks that fit no image"] = self.unused_masks
        for record in self.records:
            for text in record.warnings:
                found.setdefault(text, []).append(record.source)
        return found

    def __repr__(self) -> str:
        totals = self.totals
        return (
            f"FolderReport({str(self.out)!r}: {totals['protected']} of {totals['images']} "
            f"protected, {totals['unchanged']} left as they are, {totals['errors']} errors)"
        )
