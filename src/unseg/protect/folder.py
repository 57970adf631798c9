"""The library door for folders: protect what is there, resume, and say what happened."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter
from os import PathLike
from pathlib import Path
from typing import Any

from unseg import files
from unseg.errors import UnsegError
from unseg.files import AnyPath
from unseg.images.probe import Probe
from unseg.masks.among import AmongPhotographs
from unseg.masks.clicks import Clicks
from unseg.masks.sources import MaskSource, load_sources
from unseg.masks.sources.file import MaskFiles
from unseg.progress import Progress, Update, silent
from unseg.protect.anywhere import is_elsewhere, protect_elsewhere, refuse_elsewhere
from unseg.protect.earlier import refuse_protected
from unseg.protect.engines import DEFAULT_ENGINE, ENGINES, Engine
from unseg.protect.folder_report import FolderReport
from unseg.protect.given import given_masks, refuse_several
from unseg.protect.keys import FIELD, models_of, with_key, without_others
from unseg.protect.lock import locked
from unseg.protect.manifest import (
    Manifest,
    ManifestKind,
    Record,
    holds_manifest,
    holds_run,
    write_run,
)
from unseg.protect.noises import NoiseSource, load_noises
from unseg.protect.only import chosen_images
from unseg.protect.output import Existing, check_output, earlier_settings
from unseg.protect.pipeline import Pipeline, masks_identity, model_id, weights_sha256
from unseg.protect.plan import Job, Plan, make_plan
from unseg.protect.repeat import repeatable
from unseg.protect.settings import Settings
from unseg.protect.shard import Shard
from unseg.protect.silence import embedder_of, silent_in_plan
from unseg.protect.single import is_single, protect_single
from unseg.protect.stop import stoppable
from unseg.protect.totals import totals_of
from unseg.provenance import provenance, sha256_file
from unseg.storage.stores import as_place

__all__ = ["Existing", "FolderReport", "FolderRun", "protect_folder"]


def protect_folder(
    inputs: AnyPath | Sequence[AnyPath],
    out: AnyPath,
    settings: Settings | None = None,
    *,
    masks: AnyPath | None = None,
    boxes: AnyPath | None = None,
    only: AnyPath | None = None,
    clicks: Clicks | None = None,
    existing: Existing = "refuse",
    again: bool = False,
    shard: Shard | None = None,
    engine: Engine | None = None,
    manifest: ManifestKind = "jsonl",
    progress: Progress = silent,
) -> FolderReport:
    """Protect images and folders of images; all that ``unseg protect`` does.

    Args:
        inputs: images, and folders that are searched recursively; addresses such as
            ``s3://bucket/photos``; and WebDataset shards, or folders of them.
        out: folder or address to write to; it mirrors the tree of each input folder. For one image
            it may be a file, named as an image: its record is written beside it, as
            ``NAME.unseg.json``.
        settings: by default ``Settings()``.
        masks: folder of masks or label maps with the images' stems. Of an image with one, it says
            where the objects are; images whose mask has no foreground are left as they are. Or
            annotations, as for ``boxes``.
        boxes: COCO, YOLO, labelme or Pascal VOC annotations. Outlines are taken as they are, in
            boxes without one the base SAM draws them.
        only: protect only the images that this file names, one a line or as an earlier run's
            manifest.
        clicks: points and boxes in a single image, without masks or boxes beside them.
        existing: what to do with an output folder that holds an earlier run: ``refuse`` it,
            ``overwrite`` its images, or ``resume`` it.
        again: whether images that an earlier run protected may be protected once more.
        shard: the part of the images to protect, of a run that is split over a job array. Each
            part has its own manifest; ``resume`` without a shard joins them.
        engine: who does the work, one of :data:`~unseg.protect.engines.ENGINES`; by default this
            process.
        manifest: ``parquet`` writes the manifest in Parquet, too, when the run is finished.
        progress: told of every image; ``item`` is its :class:`~unseg.protect.manifest.Record`.

    Returns:
        Records, totals and provenance. Images that failed have a record, too.

    Raises:
        UnsegError: when nothing can be started: a path is missing, the output folder holds
            something else or is in use by another run, no mask fits any image, or a model cannot
            be loaded.
        KeyboardInterrupt: after Ctrl-C, when the images in hand are finished.

    Example:
        report = unseg.protect_folder("photos", "protected", unseg.Settings(budget=8))
        print(report.totals["protected"], report.ok)
    """
    settings = settings or Settings()
    given = [inputs] if isinstance(inputs, str | PathLike) else list(inputs)
    if is_elsewhere(given, out):
        refuse_elsewhere({"--boxes": boxes, "--only": only, "--point, --not and --box": clicks})
        return protect_elsewhere(
            given, out, settings, masks=masks, existing=existing, again=again, shard=shard,
            engine=engine, manifest=manifest, progress=progress,
        )  # fmt: skip
    places = [Path(as_place(one)) for one in given]
    folder, mask_folder = Path(as_place(out)), None if masks is None else Path(as_place(masks))
    if clicks is not None:
        refuse_several(places)
    published = frozenset[str]() if again else refuse_protected(places, folder)
    if is_single(places, folder):
        if shard is not None:
            raise UnsegError(f"{folder} is one file, which --shard cannot split: leave it out")
        return protect_single(
            places[0], folder, settings,
            lambda inside, chosen: protect_folder(
                places, inside, chosen, masks=masks, boxes=boxes, clicks=clicks, again=True,
                progress=progress,
            ),
            overwrite=existing == "overwrite",
        )  # fmt: skip
    plan = make_plan(
        places, folder, mask_folder,
        format=settings.format, batch_size=settings.batch_size,
    )  # fmt: skip
    if only is not None:
        chosen = chosen_images(Path(only), [job.source for job in plan.jobs])
        plan = replace(plan, jobs=[job for job in plan.jobs if job.source in chosen])
    goes_on = existing == "resume" or (shard is not None and existing == "refuse")
    settings = with_key(settings, folder, resume=goes_on)
    models = models_of(settings)
    box_file = None if boxes is None else Path(boxes)
    owner = given_masks(plan, mask_folder, box_file, settings, models, clicks)
    owned, settings = owner.files, owner.settings
    with locked(folder, shard):
        check_output(folder, existing, shard)
        noises = load_noises(settings.noises, models)
        sources: list[MaskSource] = [*owned, *owner.annotated]
        sources += load_sources(settings.find, models)
        settings = _resolved(settings, plan, owned, noises, existing, shard, progress)
        run = FolderRun(
            plan, settings, sources, noises, existing=existing, device=models.device, again=again,
            shard=shard, published=published, engine=engine, parquet=manifest == "parquet",
        )  # fmt: skip
        report = run.complete(progress)
    return replace(report, unused_masks=owner.unused, remarks=owner.remarks)


def _resolved(
    settings: Settings,
    plan: Plan,
    owned: Sequence[MaskFiles],
    noises: Sequence[NoiseSource],
    existing: Existing,
    shard: Shard | None,
    progress: Progress,
) -> Settings:
    """Settings whose silent classes are known: an earlier run's if it is continued, else chosen."""
    if not settings.chooses_silent:
        return settings
    earlier = earlier_settings(plan.out, existing, shard)
    if earlier:
        same = all(
            earlier.get(name) == getattr(settings, name) for name in ("target", "background")
        )
        if same and earlier.get("silent") != "auto":
            labels = earlier.get("silent")
            return replace(settings, silent=tuple(labels) if isinstance(labels, list) else "first")
    embedder = embedder_of(noises)
    if embedder is None or not owned:
        return replace(settings, silent="first")

    def looked_at(done: int, total: int) -> None:
        progress(Update("choosing silent classes", done, total))

    found = silent_in_plan(plan, owned[0], settings.rules, embedder, looked_at)
    return replace(settings, silent="first" if found is None else found)


class FolderRun:
    """The images of a plan, or a part of them; :meth:`complete` protects them.

    Args:
        plan: from :func:`unseg.protect.plan.make_plan`.
        settings: what decides the written files.
        sources: find the foreground, asked in order.
        noises: make the noise, asked in order.
        existing: see :func:`protect_folder`.
        device: recorded only.
        again: whether what an earlier run wrote into the folder may be protected once more.
        published: checksums of what other runs wrote, which is not protected once more.
        shard: the part of the plan to protect; groups stay whole.
        engine: who does the work; by default this process.
        parquet: whether the manifest is written in Parquet, too.

    Raises:
        UnsegError: when the output folder cannot be used.
    """

    def __init__(
        self,
        plan: Plan,
        settings: Settings,
        sources: Sequence[MaskSource],
        noises: Sequence[NoiseSource],
        *,
        existing: Existing = "refuse",
        device: str = "cpu",
        again: bool = False,
        published: frozenset[str] = frozenset(),
        shard: Shard | None = None,
        engine: Engine | None = None,
        parquet: bool = False,
    ) -> None:
        self.engine, self.parquet = engine or ENGINES.build(DEFAULT_ENGINE), parquet
        planned = {job.output for job in plan.jobs}
        if shard is not None:
            mine = [job for job in plan.jobs if shard.takes(job.group)]
            plan = replace(plan, jobs=mine)
        self.plan, self.settings, self.device, self.shard = plan, settings, device, shard
        self.sources, self.noises = sources, noises
        self.manifest = Manifest(plan.out, shard)
        # A folder without a run's files is somebody else's: nothing in it is replaced.
        ours = holds_run(plan.out)
        self._started = time.perf_counter()
        check_output(plan.out, existing, shard)
        earlier: list[Record] = []
        if existing != "refuse":
            if shard is None:  # else other parts may be writing
                files.remove_stale(plan.out)
            if holds_manifest(plan.out):
                earlier, _ = self.manifest.read()
        written = [] if again else [r for r in earlier if r.status == "protected"]
        self.pipeline = Pipeline(
            plan.out, settings, sources, noises,
            overwrite=existing != "refuse" and ours,
            published=(published | {record.output_sha256 for record in written}) - {None},
            probe=None if settings.timeout is None else Probe(settings.timeout),
            photographs=AmongPhotographs([job.path for job in plan.jobs]),
        )  # fmt: skip
        #: Jobs of this run that an earlier one has done.
        self.done: list[Job] = []
        if existing == "resume":
            self.done = self._finished_jobs(earlier)
        done = {job.output for job in self.done}
        #: Jobs that are left to do.
        self.jobs = [job for job in plan.jobs if job.output not in done]
        # What is not planned any more is kept where it is.
        own = {record.output for record in self.manifest.own()}
        kept = [
            r for r in earlier if r.output in done or (r.output not in planned and r.output in own)
        ]
        self._records = without_others(kept, plan.out, settings)
        self.manifest.replace(self._records)
        write_run(plan.out, self._description("running"), shard)

    def complete(self, progress: Progress = silent) -> FolderReport:
        """Protect the images that are left, each with its record in the manifest, and report.

        Args:
            progress: told of every image.

        Raises:
            KeyboardInterrupt: after Ctrl-C, when the images in hand are finished.
            UnsegError: when a record cannot be written.
        """
        count, total = len(self.done), len(self.plan.jobs)
        progress(Update("protecting", count, total))
        pipeline, jobs = self.pipeline, self.jobs
        if self.engine.repeats:
            pipeline, jobs = repeatable(pipeline, jobs)
        with stoppable() as stop:
            for record in self.engine.run(pipeline, jobs, attrgetter("group"), lambda: stop.asked):
                self.manifest.append(record)
                self._records.append(record)
                count += 1
                progress(Update("protecting", count, total, record))
            if self.engine.repeats and self.shard is None:
                files.remove_stale(self.plan.out)  # of workers that died
            if count < total:
                write_run(self.plan.out, self._description("interrupted"), self.shard)
                stop.leave(f"stopped with {count} of {total} images done: --resume goes on")
        report = self._finish()
        stop.leave("stopped when the images were done")
        return report

    def _finish(self) -> FolderReport:
        """Sort the manifest, write the run's file, and report."""
        self.manifest.replace(self._records, parquet=self.parquet)
        description = self._description("finished")
        write_run(self.plan.out, description, self.shard)
        key = self.settings.owner_key
        made = key.path if key is not None and key.made else None
        return FolderReport(self.plan.out, self._planned(), description, [], made_key=made)

    def _planned(self) -> list[Record]:
        planned = {job.output for job in self.plan.jobs}
        mine = [r for r in self._records if r.output in planned]
        return sorted(mine, key=lambda r: (r.output, r.source))

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
        if record.status == "error" or job.refusal is not None or record.mask is None:
            return False
        try:
            masks = masks_identity(self.sources, record.mask_source or "", job.source)
            digest = job.settings_for(self.settings).digest(weights_sha256(self.noises), masks)
            return (
                record.settings_sha256 == digest
                and record.source_sha256 == sha256_file(job.path)
                and record.output_sha256 == sha256_file(self.plan.out / record.output)
                and record.mask_sha256 == sha256_file(self.plan.out / record.mask)
            )
        except OSError:
            return False

    def _description(self, status: str) -> dict[str, Any]:
        """Content of the run's file."""
        finished, key = status == "finished", self.settings.owner_key
        return {
            "status": status,
            **provenance(seed=0, data_sha256=_data_sha256(self._records) if finished else None),
            "settings": self.settings.describe(),
            FIELD: None if key is None else key.describe(),
            "mask_sources": [source.name for source in self.sources],
            "model": model_id(self.noises),
            "model_sha256": weights_sha256(self.noises),
            "device": self.device,
            "shard": None if self.shard is None else [self.shard.number, self.shard.count],
            "totals": self._totals() if finished else None,
            "ignored": self.plan.ignored[:100],
            "manifest_sha256": _sha256(self.manifest.path) if finished else None,
            **(
                {"parquet_sha256": _sha256(self.manifest.table)}
                if finished and self.parquet
                else {}
            ),
        }

    def _totals(self) -> dict[str, Any]:
        owned = any(isinstance(source, MaskFiles) for source in self.sources)
        return totals_of(
            self._planned(), kept=len(self.done), ignored=len(self.plan.ignored), owned=owned,
            seconds=time.perf_counter() - self._started,
        )  # fmt: skip


def _sha256(path: Path) -> str:
    return files.tried(lambda: sha256_file(path))


def _data_sha256(records: list[Record]) -> str:
    """Checksum over names and contents of the originals."""
    pairs = sorted((r.source, r.source_sha256) for r in records if r.source_sha256)
    return hashlib.sha256(json.dumps(pairs).encode()).hexdigest()
