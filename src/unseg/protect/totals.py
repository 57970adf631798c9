"""Counts and means over the images of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from unseg.protect.folder_report import counted_in
from unseg.protect.manifest import Record


def totals_of(
    records: Sequence[Record], *, kept: int, ignored: int, owned: bool, seconds: float
) -> dict[str, Any]:
    """Counts and means over the planned images.

    Args:
        records: one an image.
        kept: how many of them an earlier run had done.
        ignored: files among the inputs that are no images.
        owned: whether the owner gave mask files.
        seconds: that the run took.
    """
    written = [r for r in records if r.status != "error"]
    good = [r for r in written if r.status == "protected"]
    fresh = len(records) - kept
    changes = [r.change for r in good if r.change is not None]
    return {
        "images": len(records),
        "protected": len(good),
        "unchanged": len(written) - len(good),
        "errors": len(records) - len(written),
        "kept_from_earlier_run": kept,
        "ignored_files": ignored,
        "mask_sources": dict(sorted(Counter(str(r.mask_source) for r in written).items())),
        "found": counted_in(written),
        "noises": dict(sorted(Counter(str(r.noise) for r in good).items())),
        "with_warnings": sum(1 for r in written if r.warnings),
        "without_mask_file": sum(1 for r in written if owned and r.mask_file is None),
        "over_budget_lossy": sum(1 for r in good if r.within_budget is False),
        "lossy": sum(1 for r in good if r.survival is not None),
        "least_survival": min(
            (r.survival.correlation for r in good if r.survival is not None), default=None
        ),
        "mean_survival": _mean([r.survival.correlation for r in good if r.survival]),
        "with_location": sum(1 for r in written if r.location),
        "part_of_range": sum(1 for r in good if _part(r)),
        "largest_change_inside": max((c.inside for c in changes), default=None),
        "largest_change_outside": max((c.outside for c in changes), default=None),
        "mean_psnr": _mean([r.psnr for r in good]),
        "mean_ssim": _mean([r.ssim for r in good]),
        "mean_visibility": _mean([r.visibility_score for r in good]),
        "lowest_visibility": min(
            (r.visibility_score for r in good if r.visibility_score is not None), default=None
        ),
        "seconds": round(seconds, 2),
        "seconds_per_image": round(seconds / fresh, 3) if fresh else None,
    }


def _part(record: Record) -> bool:
    """Whether an image of 16 bits uses a part of its range."""
    return record.step is not None and (record.mode or "").endswith("16") and record.step < 257


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(fmean(known), 4) if known else None
