"""What a run over a folder did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from unseg.protect.manifest import Record
from unseg.remarks import Remark, texts


def counted_in(records: Iterable[Record]) -> dict[str, int]:
    """What was found in all images together: numbers of objects by name."""
    found: Counter[str] = Counter()
    for record in records:
        found.update(record.found)
    return dict(sorted(found.items()))


@dataclass(frozen=True)
class FolderReport:
    """What a run over a folder did.

    Args:
        out: the output folder, or its address.
        records: one an image of this run, sorted by output.
        description: content of OUT/unseg-run.json: settings, model, provenance and totals.
        unused_masks: masks that belong to no image, by name. They are a warning where some image
            has no mask: the names may not fit. A part of a data set may well be protected alone.
        remarks: what to know of the annotations as a whole.
        made_key: the file of the key, where it did not exist before this run.
    """

    out: Path | str
    records: list[Record]
    description: dict[str, Any]
    unused_masks: list[str]
    remarks: tuple[Remark, ...] = ()
    made_key: Path | None = None

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
            first = next(r.source for r in self.records if r.error is None and r.mask_file is None)
            expected = PurePosixPath(first).with_suffix(".png")
            found[f"masks that fit no image ({first} expects {expected})"] = self.unused_masks
        for text in texts(self.remarks, warning=True):
            found[text] = ["annotations"]
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
