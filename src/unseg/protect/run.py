"""A run over a folder: what is there already, the manifest as it grows, and the totals."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from unseg import files
from unseg.errors import UnsegError
from unseg.protect.manifest import MANIFEST, RUN, Manifest, Record, Settings, write_run
from unseg.protect.pipeline import Pipeline
from unseg.protect.plan import Job, Plan
from unseg.protect.sources import MaskProposer, NoiseSource
from unseg.provenance import provenance, sha256_file

Existing = Literal["refuse", "overwrite", "resume"]


def check_output(out: Path, existing: Existing) -> None:
    """Find out whether a run may write into a folder, before anything slow is done.

    Args:
        out: made where it is missing.
        existing: see :class:`Run`.

    Raises:
        UnsegError: when it cannot be written, or holds an earlier run that is to be refused.
    """
    with files.temporary_file(out / MANIFEST, b""):
        pass  # the folder can be written, or this has said why not
    if existing == "refuse" and (out / MANIFEST).exists():
        raise UnsegError(
            f"{out} holds an earlier run: use --resume to continue it, --overwrite to replace "
            "its images, or another -o"
        )


class Run:
    """Protect the images of a plan; iterate over it for a record each, then call :meth:`finish`.

    Args:
        plan: from :func:`unseg.protect.plan.make_plan`.
        settings: what decides the written files.
        source: makes noise.
        proposer: finds a foreground where no mask is given.
        existing: what to do with an output folder that holds an earlier run: ``refuse`` it,
            ``overwrite`` its images, or ``resume`` it.
        device: recorded only.

    Raises:
        UnsegError: when the output folder cannot be used.
    """

    def __init__(
        self,
        plan: Plan,
        settings: Settings,
        source: NoiseSource,
        proposer: MaskProposer,
        *,
        existing: Existing = "refuse",
        device: str = "cpu",
    ) -> None:
        self.plan, self.settings, self.source, self.device = plan, settings, source, device
        self.manifest = Manifest(plan.out)
        # A folder without a run's files is somebody else's: nothing in it is replaced.
        ours = self.manifest.path.exists() or (plan.out / RUN).exists()
        self.pipeline = Pipeline(
            plan.out, settings, source, proposer, overwrite=existing != "refuse" and ours
        )
        self._started = time.perf_counter()
        check_output(plan.out, existing)
        earlier: list[Record] = []
        if existing != "refuse":
            files.remove_stale(plan.out)
            if self.manifest.path.exists():
                earlier, _ = self.manifest.read()
        #: Jobs of this run that an earlier one has done.
        self.done: list[Job] = []
        if existing == "resume":
            self.done = self._finished_jobs(earlier)
        done = {job.output for job in self.done}
        planned = {job.output for job in plan.jobs}
        #: Jobs that are left to do.
        self.jobs = [job for job in plan.jobs if job.output not in done]
        self._records = [r for r in earlier if r.output in done or r.output not in planned]
        self.manifest.replace(self._records)
        write_run(plan.out, self._description("running"))

    def __iter__(self) -> Iterator[Record]:
        """Protect the images that are left; a record each, already in the manifest."""
        for record in self.pipeline.run(self.jobs):
            self.manifest.append(record)
            self._records.append(record)
            yield record

    def finish(self) -> dict[str, Any]:
        """Sort the manifest, write the run's file, and return its content."""
        self.manifest.replace(self._records)
        description = self._description("finished")
        write_run(self.plan.out, description)
        return description

    def _finished_jobs(self, earlier: list[Record]) -> list[Job]:
        """Jobs whose record, files and settings all match, in groups that match as a whole.

        Images of one group went through the model together, and a smaller group might round
        differently; so a group is done again as a whole.
        """
        records = {(record.source, record.output): record for record in earlier}
        matching = [
            job
            for job in self.plan.jobs
            if (record := records.get((job.source, job.output))) is not None
            and self._matches(job, record)
        ]
        whole = Counter(job.group for job in self.plan.jobs)
        found = Counter(job.group for job in matching)
        return [job for job in matching if found[job.group] == whole[job.group]]

    def _matches(self, job: Job, record: Record) -> bool:
        if record.status != "protected" or job.refusal is not None or record.mask is None:
            return False
        try:
            mask_file = None if job.mask_file is None else sha256_file(job.mask_file)
            return (
                record.settings_sha256 == self.settings.digest(self.source.sha256, mask_file)
                and record.mask_file == job.mask_name
                and record.source_sha256 == sha256_file(job.path)
                and record.output_sha256 == sha256_file(self.plan.out / record.output)
                and record.mask_sha256 == sha256_file(self.plan.out / record.mask)
            )
        except OSError:
            return False

    def _description(self, status: str) -> dict[str, Any]:
        """Content of the run's file."""
        finished = status == "finished"
        return {
            "status": status,
            **provenance(seed=0, data_sha256=_data_sha256(self._records) if finished else None),
            "settings": self.settings.describe(),
            "model": self.source.model_id,
            "model_sha256": self.source.sha256,
            "device": self.device,
            "totals": self.totals() if finished else None,
            "ignored": self.plan.ignored[:100],
            "manifest_sha256": sha256_file(self.manifest.path) if finished else None,
        }

    def totals(self) -> dict[str, Any]:
        """Counts and means over the planned images."""
        planned = {job.output for job in self.plan.jobs}
        records = [r for r in self._records if r.output in planned]
        good = [r for r in records if r.status == "protected"]
        seconds = time.perf_counter() - self._started
        fresh = len(self.jobs)
        changes = [r.change for r in good if r.change is not None]
        return {
            "images": len(records),
            "protected": len(good),
            "errors": len(records) - len(good),
            "kept_from_earlier_run": len(self.done),
            "ignored_files": len(self.plan.ignored),
            "mask_sources": dict(sorted(Counter(str(r.mask_source) for r in good).items())),
            "without_mask_file": sum(
                1 for r in good if self.settings.masks is not None and r.mask_file is None
            ),
            "over_budget_lossy": sum(1 for r in good if r.within_budget is False),
            "largest_change_inside": max((c.inside for c in changes), default=None),
            "largest_change_outside": max((c.outside for c in changes), default=None),
            "mean_psnr": _mean([r.psnr for r in good]),
            "mean_ssim": _mean([r.ssim for r in good]),
            "seconds": round(seconds, 2),
            "seconds_per_image": round(seconds / fresh, 3) if fresh else None,
        }


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(fmean(known), 4) if known else None


def _data_sha256(records: list[Record]) -> str:
    """Checksum over names and contents of the originals."""
    pairs = sorted((r.source, r.source_sha256) for r in records if r.source_sha256)
    return hashlib.sha256(json.dumps(pairs).encode()).hexdigest()
