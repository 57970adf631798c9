"""The library door for data sets: a data set in, the same data set out, protected."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from unseg import files
from unseg.datasets.annotated import AnnotationMasks
from unseg.datasets.embedded import replaced_images
from unseg.errors import UnsegError
from unseg.files import AnyPath
from unseg.images.formats import FORMATS, format_of
from unseg.images.reader import read_photo
from unseg.masks.regions import Target
from unseg.masks.sources import MaskSource, load_sources
from unseg.progress import Progress, Update, silent
from unseg.protect.carried import (
    DATASET,
    Carried,
    copy_file,
    read_carried,
    write_carried,
    write_file,
)
from unseg.protect.dataset_plan import DatasetFormat, DatasetPlan, jobs_of, plan_dataset
from unseg.protect.earlier import refuse_protected
from unseg.protect.folder import FolderReport, FolderRun
from unseg.protect.keys import models_of, with_key
from unseg.protect.lock import locked
from unseg.protect.manifest import Manifest, holds_run
from unseg.protect.noises import load_noises
from unseg.protect.output import Existing, check_output, earlier_settings
from unseg.protect.plan import Job, Plan
from unseg.protect.series import with_series_ranges
from unseg.protect.settings import Settings
from unseg.protect.shard import Shard
from unseg.protect.silence import Embedder, cells_of_photo, choose_silent, embedder_of, spread
from unseg.provenance import sha256_file
from unseg.remarks import texts


@dataclass(frozen=True)
class DatasetReport:
    """What a run over a data set did.

    Args:
        plan: what was found and chosen.
        folder: what happened to the images, as of a folder.
        copied: how many files were copied byte for byte.
        renamed: old and new names of images.
        rewritten: names of files that mention images and were written anew.
        doubled: names of copied files whose bytes are those of an image that was protected.
    """

    plan: DatasetPlan
    folder: FolderReport
    copied: int
    renamed: dict[str, str]
    rewritten: list[str]
    doubled: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every image was dealt with and at least one is protected."""
        return self.folder.ok

    @property
    def warnings(self) -> dict[str, list[str]]:
        """What may have gone wrong in silence: texts, each with the names it is said of."""
        found: dict[str, list[str]] = {text: [] for text in texts(self.plan.remarks, warning=True)}
        if self.doubled:
            found["files are clean copies of images that were protected"] = self.doubled
        return {**found, **self.folder.warnings}

    def describe(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "output": str(self.folder.out),
            "dataset": self.plan.describe(),
            "copied": self.copied,
            "renamed": len(self.renamed),
            "rewritten": self.rewritten,
            "errors": [{"source": r.source, "error": r.error} for r in self.folder.errors],
            "warnings": self.warnings,
            **self.folder.description,
        }


def protect_dataset(
    root: AnyPath | DatasetPlan,
    out: AnyPath,
    settings: Settings | None = None,
    *,
    layout: str = "auto",
    splits: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    limit: int | None = None,
    only: AnyPath | None = None,
    target: Target | Literal["auto"] = "auto",
    format: DatasetFormat = "auto",
    find: Sequence[str] = (),
    existing: Existing = "refuse",
    shard: Shard | None = None,
    progress: Progress = silent,
) -> DatasetReport:
    """Protect the images of a data set and copy all else; all that ``unseg dataset`` does.

    Exact masks come from the annotations. Images without an object, and those of other splits, are
    copied byte for byte, as are all other files but those that mention an image whose name changed.

    Args:
        root: folder of the data set, or a plan from
            :func:`unseg.protect.dataset_plan.plan_dataset`; then the layout, splits, classes,
            limit, only and find are the plan's.
        out: folder to write to, outside ``root``.
        settings: all but ``target``, ``format``, ``find``, ``classes``, ``void`` and
            ``background``, which the data set and the arguments here decide.
        layout: name of a layout; ``auto`` finds out.
        splits: see :func:`~unseg.protect.dataset_plan.plan_dataset`, as the next three.
        classes: names of the classes to protect.
        exclude: names of classes that are not protected.
        limit: protect the first so many images only, for a trial.
        only: protect only the images that this file names; the others are copied.
        target: ``auto`` is ``class`` where the classes fill the images, else ``union``.
        format: ``auto`` writes PNG, and lossless files of another kind as they were. In layouts
            whose loaders put ``.jpg`` behind a name, JPEG stays JPEG, which is not lossless.
            ``png``, ``webp`` and ``tiff`` are lossless everywhere, ``jpeg`` is not; ``same`` keeps
            every name, and is all that DICOM and GeoTIFF can be.
        find: mask sources for images of the splits that have no annotation; without, such images
            are copied.
        existing: what to do with an output folder that holds an earlier run: ``refuse`` it,
            ``overwrite`` its files, or ``resume`` it.
        shard: the part of the images to protect, of a run that is split over a job array. Nothing
            else is copied then: ``resume`` without a shard does that, and joins the parts.
        progress: told of every image; ``item`` is its :class:`~unseg.protect.manifest.Record`.

    Raises:
        UnsegError: when nothing can be started.
        KeyboardInterrupt: after Ctrl-C, when the images in hand are finished.

    Example:
        report = unseg.protect_dataset("coco", "coco-protected", classes=["person"])
        print(report.folder.totals["protected"], report.rewritten)
    """
    plan = root if isinstance(root, DatasetPlan) else plan_dataset(
        root, layout=layout, splits=splits, classes=classes, exclude=exclude, limit=limit,
        only=only, find=find, progress=progress,
    )  # fmt: skip
    folder = Path(out)
    settings = replace(
        settings or Settings(),
        target=plan.target if target == "auto" else target,
        format=plan.format if format == "auto" else format,
        find=plan.find, classes=None, void="auto", background=0,
    )  # fmt: skip
    if settings.strict and (said := texts(plan.remarks, warning=True)):
        raise UnsegError(f"{plan.root}: {said[0]} (--strict)")
    _check_apart(plan.root, folder)
    jobs = jobs_of(plan, settings.format, settings.batch_size)
    if not jobs:
        raise UnsegError(
            f"no image of {', '.join(plan.splits)} is annotated: give --find to protect what is "
            "found in them"
        )
    jobs = with_series_ranges(jobs, plan.layout, plan.survey.images, settings.range)
    # What mentions no image clearly is to be known before hours of work.
    plan.layout.rewrite({j.source: j.output for j in jobs if j.source != j.output}, (), folder)
    goes_on = existing == "resume" or (shard is not None and existing == "refuse")
    settings = with_key(settings, folder, resume=goes_on, outside=(plan.root,))
    with locked(folder, shard):
        check_output(folder, existing, shard)
        if shard is not None:
            if not (folder / DATASET).exists():  # until the parts are joined, it is not complete
                write_carried(folder, {"status": "running"}, {})
            published = refuse_protected([plan.root], folder)
            report = _protect(plan, folder, settings, jobs, existing, shard, progress, published)
            return DatasetReport(plan, report, 0, {}, [])
        copies = _Copies(plan, folder, jobs, existing)
        copies.start(progress)
        published = refuse_protected([plan.root], folder)
        report = _protect(plan, folder, settings, jobs, existing, None, progress, published)
        return copies.finish(report)


def _protect(
    plan: DatasetPlan, out: Path, settings: Settings, jobs: list[Job], existing: Existing,
    shard: Shard | None, progress: Progress, published: frozenset[str],
) -> FolderReport:  # fmt: skip
    """Protect the images, by the same run as a folder's."""
    models = models_of(settings)
    noises = load_noises(settings.noises, models)
    # Which classes share a texture matters where they fill the images.
    dense = plan.dense and settings.target == "class"
    source = AnnotationMasks(
        plan.layout, plan.classes, settings.target, lambda: models.base, dense=dense
    )
    if dense and settings.silent == "auto":
        earlier = earlier_settings(out, existing, shard).get("silent")
        chosen = tuple(earlier) if isinstance(earlier, list) else None
        embedder = embedder_of(noises)
        if chosen is None and embedder is not None:
            chosen = _silent(jobs, source, settings, embedder, progress)
        settings = replace(settings, silent=chosen or "first")
    sources: list[MaskSource] = [source, *load_sources(settings.find, models)]
    run = FolderRun(
        Plan(out, jobs, []), settings, sources, noises, existing=existing, device=models.device,
        shard=shard, published=published,
    )  # fmt: skip
    return run.complete(progress)


def _silent(
    jobs: list[Job], source: AnnotationMasks, settings: Settings, embedder: Embedder,
    progress: Progress,
) -> tuple[int, ...] | None:  # fmt: skip
    """Which classes carry no noise, chosen from some images; what cannot be read is left out."""
    looked = [jobs[i] for i in spread(len(jobs))]
    parts = []
    for count, job in enumerate(looked, 1):
        try:
            photo = read_photo(job.path, job.source)
            found = source.find(photo, job.source)
        except UnsegError:
            continue
        if found is not None and found.labels.size == photo.size:
            rules = source.rules(settings.rules)
            parts.append(cells_of_photo(embedder, photo, found.labels, rules))
        progress(Update("choosing silent classes", count, len(looked)))
    return choose_silent(parts)


def _check_apart(root: Path, out: Path) -> None:
    """Refuse an output folder in the data set, or around it."""
    here, target = root.resolve(), out.resolve()
    if target.is_relative_to(here) or here.is_relative_to(target):
        raise UnsegError(
            f"the output folder {out} and the data set {root} overlap: choose a folder outside the "
            "data set, as originals are never touched"
        )


class _Copies:
    """The files of a data set that are not protected: copied, and rewritten at the end."""

    def __init__(self, plan: DatasetPlan, out: Path, jobs: list[Job], existing: Existing) -> None:
        self.plan, self.out, self.jobs = plan, out, jobs
        mine = {job.source for job in jobs}
        self.names = [name for name in plan.files if name not in mine]
        set_of_names = set(self.names)
        ours = (out / DATASET).exists() or holds_run(out)
        allowed = ours and existing != "refuse"
        for name in (*self.names, *(job.output for job in jobs)):
            files.refuse_taken(out, name, overwrite=allowed)
        before = read_carried(out) if allowed else {}
        self.earlier = before if existing == "resume" else {}
        if allowed:
            self._refuse_published()
        outputs = {job.output for job in jobs}
        #: Copies of an earlier run that this one has no use for, such as images that it protects.
        self.stale = {
            name: one for name, one in before.items()
            if name not in outputs and name not in set_of_names
        }  # fmt: skip
        self.carried: dict[str, Carried] = {}

    def _refuse_published(self) -> None:
        """Refuse to copy what an earlier run protected: the clean image would lie beside it."""
        manifest = Manifest(self.out)
        records = manifest.read()[0] if manifest.path.exists() else []
        protected = {record.source for record in records if record.status == "protected"}
        again = sorted(protected.intersection(self.names))
        if again:
            raise UnsegError(
                f"{self.out} holds {again[0]} protected, which this run would copy as it is: name "
                "the same splits, classes and images as before, or choose another folder with -o"
            )

    def start(self, progress: Progress) -> None:
        """Copy all that does not depend on the images' new names."""
        # Without this file the folder would be somebody else's to the next run.
        write_carried(self.out, {"status": "running"}, self.earlier)
        for count, name in enumerate(self.names, 1):
            before = self.earlier.get(name)
            if before is None or before.how == "copied":
                self.carried[name] = copy_file(self.plan.root / name, self.out, name, before)
            progress(Update("copying", count, len(self.names)))

    def finish(self, report: FolderReport) -> DatasetReport:
        """Write what mentions images whose names changed, and note all files."""
        written = [record for record in report.records if record.status != "error"]
        renamed = {r.source: r.output for r in written if r.source != r.output}
        done = {r.source for r in written}
        changed = self.plan.layout.rewrite(renamed, done, self.out)
        new_names = {r.source: r.output for r in written}
        changed |= replaced_images(self.plan.root, self.plan.files, changed, new_names, self.out)
        for name, data in changed.items():
            new = Carried("rewritten", hashlib.sha256(data).hexdigest())
            target = self.out / name
            if not (target.is_file() and sha256_file(target) == new.sha256):
                new = write_file(self.out, name, data)
            self.carried[name] = new
        for name in self.names:
            if name not in self.carried:
                self.carried[name] = copy_file(self.plan.root / name, self.out, name, None)
        for name, one in self.stale.items():
            path = self.out / name
            if path.is_file() and sha256_file(path) == one.sha256:
                path.unlink()
        about = {"status": "finished", "dataset": self.plan.describe()}
        write_carried(self.out, about, self.carried)
        clean = {r.source_sha256 for r in written if r.status == "protected"}
        doubled = sorted(name for name, one in self.carried.items() if one.sha256 in clean)
        copied = sum(one.how == "copied" for one in self.carried.values())
        return DatasetReport(self.plan, report, copied, renamed, sorted(changed), doubled)


def is_lossy(plan: DatasetPlan, format: DatasetFormat) -> bool:
    """Whether some image is written as JPEG."""
    chosen = plan.format if format == "auto" else format
    if chosen != "same":
        return not FORMATS[chosen.upper()].lossless
    kinds = (format_of(Path(name).suffix) for name in plan.protected)
    return any(kind is not None and not kind.lossless for kind in kinds)
