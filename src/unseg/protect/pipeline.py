"""Protect many images: read -> mask -> noise -> compose -> write, each stage over an iterator.

Only a few images are in memory at a time. Reading goes ahead and writing lags behind in one
thread each, so that decoding, encoding and checking overlap with the model.
"""

from __future__ import annotations

import hashlib
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from unseg import files
from unseg.errors import UnsegError
from unseg.files import read_bytes
from unseg.images import writer as writers
from unseg.images.photo import Photo, Pixels
from unseg.images.reader import count_pixels, decode
from unseg.masks.labels import (
    LabelMap,
    LabelRules,
    Regions,
    find_regions,
    read_label_map,
    void_share,
)
from unseg.protect.apply import View, add_noise, noise_fields, propose, view
from unseg.protect.manifest import (
    BudgetRecord,
    ChangeRecord,
    Record,
    Settings,
    SurvivalRecord,
)
from unseg.protect.plan import Job
from unseg.protect.quality import compare, survival
from unseg.protect.sources import MaskProposer, NoiseSource

Given = TypeVar("Given")
Made = TypeVar("Made")

#: Pixels that may be read ahead, and that may wait for the writer.
_WAITING_PIXELS = 8_000_000


@dataclass
class Item:
    """One image on its way through the stages; what later stages do not need is let go."""

    job: Job
    record: Record
    photo: Photo | None = None
    labels: LabelMap | None = None
    foreground: NDArray[np.bool_] | None = None
    view: View | None = None
    noise: Tensor | None = None
    protected: Pixels | None = None
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether a stage gave up on the image."""
        return self.record.status == "error"

    @property
    def pixels(self) -> int:
        """Pixels held."""
        return 0 if self.photo is None else self.photo.size[0] * self.photo.size[1]

    def release(self) -> None:
        """Let all arrays go."""
        self.photo = self.labels = self.foreground = self.view = None
        self.noise = self.protected = None


@dataclass(frozen=True)
class Pipeline:
    """The stages, with what they need.

    Args:
        out: output folder.
        settings: budget, format, label rules.
        source: makes noise.
        proposer: finds a foreground where no mask is given.
        overwrite: whether existing outputs, an earlier run's, are replaced (else they are an
            error).
    """

    out: Path
    settings: Settings
    source: NoiseSource
    proposer: MaskProposer
    overwrite: bool = False

    def run(self, jobs: Iterable[Job]) -> Iterator[Record]:
        """Protect images; yields a record each, in order, when its file is in place."""
        items = overlapped(
            self._step(self.read), map(self.start, jobs), ahead=1,
            size=lambda item: count_pixels(item.job.path), limit=_WAITING_PIXELS,
        )  # fmt: skip
        items = map(self._step(self.mask), items)
        items = self.make_noise(items)
        items = map(self._step(self.compose), items)
        for item in overlapped(
            self._step(self.write), items, ahead=2, size=lambda i: i.pixels, limit=_WAITING_PIXELS
        ):
            item.record.seconds = round(item.seconds, 3)
            yield item.record

    def start(self, job: Job) -> Item:
        """An item that nothing has happened to yet."""
        budget = self.settings.budget
        record = Record(
            source=job.source,
            output=job.output,
            status="protected",
            budget=BudgetRecord(foreground=budget.foreground, background=budget.background),
            model=self.source.model_id,
            model_sha256=self.source.sha256,
        )
        return Item(job, record)

    def read(self, item: Item) -> None:
        """Read the image, and its mask's file if there is one."""
        job, record = item.job, item.record
        if job.refusal is not None:
            raise UnsegError(job.refusal)
        self._make_room(job)
        data = read_bytes(job.path, job.source)
        record.source_sha256 = hashlib.sha256(data).hexdigest()
        item.photo = decode(data, job.source)
        (record.width, record.height), record.mode = item.photo.size, item.photo.mode
        if job.mask_file is not None and job.mask_name is not None:
            record.mask_file = job.mask_name
            data = read_bytes(job.mask_file, job.mask_name)
            record.mask_file_sha256 = hashlib.sha256(data).hexdigest()
            item.labels = read_label_map(job.mask_file, job.mask_name)

    def mask(self, item: Item) -> None:
        """Find foreground and regions: from the file, else proposed, else the whole image."""
        assert item.photo is not None
        record, rules = item.record, self.settings.rules
        if item.labels is not None:
            if item.labels.size != item.photo.size:
                raise UnsegError(
                    "{} is {}x{} but {} is {}x{}: masks must have the image's size (EXIF "
                    "orientation is applied first)".format(
                        item.job.mask_name, *item.labels.size, item.job.source, *item.photo.size
                    )
                )
            record.mask_source = "file"
            regions = find_regions(item.labels, rules)
            void = void_share(item.labels, rules)
            if void > max(0.5, regions.foreground.mean()):
                record.mask_note = f"{void:.0%} of the mask file is void and counts as background"
            empty = "the mask file has no foreground"
        else:
            record.mask_source = "proposal"
            proposal = propose(item.photo, self.proposer)
            missing = "no mask file for this image" if self.settings.masks is not None else None
            record.mask_note = _joined(missing, proposal.note)
            labels = LabelMap(proposal.mask.view(np.uint8))
            regions = find_regions(labels, LabelRules(target=rules.target))
            empty = "nothing was proposed"
        if not regions.foreground.any():
            record.mask_source = "whole-image"
            record.mask_note = _joined(record.mask_note, empty)
            regions = Regions.union(np.ones_like(regions.foreground))
        record.target, record.prompts = rules.target, 1 + regions.count
        record.foreground_share = round(float(regions.foreground.mean()), 6)
        record.settings_sha256 = self.settings.digest(self.source.sha256, record.mask_file_sha256)
        item.labels = None
        item.view = view(item.photo, regions)
        item.foreground = regions.foreground

    def make_noise(self, items: Iterable[Item]) -> Iterator[Item]:
        """Noise fields, a group of images at a time."""
        single = self._step(self._noise_one)
        for _, group in itertools.groupby(items, key=lambda item: item.job.group):
            members = list(group)
            live = [item for item in members if not item.failed]
            if len(live) > 1:
                self._noise_many(live)
            for item in members:
                yield item if item.noise is not None else single(item)

    def compose(self, item: Item) -> None:
        """Add the noise within the budget."""
        assert item.photo is not None and item.foreground is not None and item.noise is not None
        item.protected = add_noise(
            item.photo, item.noise, item.foreground, self.settings.budget, item.job.source
        )
        item.noise = item.view = None

    def write(self, item: Item) -> None:
        """Encode, write, read back, check the bound, and only then move the file into place."""
        assert item.photo is not None and item.foreground is not None
        photo, job, record = item.photo, item.job, item.record
        record.format = writers.output_format(photo, job.source, self.settings.format)
        record.lossless = record.format != "JPEG"
        target, mask_target = self.out / job.output, self.out / job.mask
        with files.temporary_file(target, self._encode(item, record.format)) as temporary:
            data = read_bytes(temporary, job.output)
            record.output_sha256 = hashlib.sha256(data).hexdigest()
            written = decode(data, job.output)
            del data
            self._measure(item, writers.alike(photo, written, job.output))
            mask = writers.encode_mask(item.foreground)
            files.write_atomically(mask_target, mask)
            try:
                files.move(temporary, target)
            except UnsegError:
                mask_target.unlink()
                raise
        record.mask, record.mask_sha256 = job.mask, hashlib.sha256(mask).hexdigest()
        item.release()

    def _encode(self, item: Item, kind: str) -> bytes:
        """The file's bytes; the pixels they were made of are let go unless they are compared."""
        assert item.photo is not None and item.protected is not None
        changed = replace(item.photo, pixels=item.protected, format=kind)
        if item.record.lossless:
            item.protected = None
        return writers.encode(changed, kind, item.job.source)

    def _measure(self, item: Item, written: Photo) -> None:
        """Compare what was read back with the original; over the budget is an error.

        Raises:
            UnsegError: when a lossless file breaks the bound.
        """
        assert item.photo is not None and item.foreground is not None
        record, budget = item.record, self.settings.budget
        quality = compare(item.photo, written, item.foreground)
        change = quality.change
        record.change = ChangeRecord(inside=change.inside, outside=change.outside)
        record.within_budget = change.within(budget)
        record.psnr = None if quality.psnr is None else round(quality.psnr, 3)
        record.ssim = None if quality.ssim is None else round(quality.ssim, 5)
        if record.lossless and not record.within_budget:
            raise UnsegError(
                f"{item.job.output} changed by {change.inside:g} inside and {change.outside:g} "
                f"outside the mask, over the budget of {budget.foreground:g} and "
                f"{budget.background:g}: the file was not kept, please report this"
            )
        if item.protected is not None:
            kept = survival(item.photo.pixels, item.protected, written.pixels)
            record.survival = SurvivalRecord(
                correlation=round(kept.correlation, 4), energy=round(kept.energy, 4)
            )

    def _make_room(self, job: Job) -> None:
        """Refuse to write where it may not be; remove an earlier result that is to be replaced."""
        names = (job.output, job.mask)
        for name in names:
            files.refuse_taken(self.out, name, overwrite=self.overwrite)
        for target in (self.out / name for name in names):
            try:
                target.unlink(missing_ok=True)
            except OSError as error:
                raise files.cannot_write(target, error) from error

    def _noise_one(self, item: Item) -> None:
        assert item.view is not None
        item.noise = noise_fields(
            self.source, [item.view], self.settings.budget, self.settings.visibility
        )[0]

    def _noise_many(self, items: list[Item]) -> None:
        """One pass for a group; should it fail, each image is tried alone and says why."""
        started = time.perf_counter()
        views = [item.view for item in items if item.view is not None]
        try:
            fields = noise_fields(
                self.source, views, self.settings.budget, self.settings.visibility
            )
        except Exception:  # the single passes that follow report the cause by image
            return
        share = (time.perf_counter() - started) / len(items)
        for item, noise in zip(items, fields, strict=True):
            item.noise = noise
            item.seconds += share

    def _step(self, stage: Callable[[Item], None]) -> Callable[[Item], Item]:
        """A stage that records failures, so that the other images go on."""

        def run(item: Item) -> Item:
            if item.failed:
                return item
            started = time.perf_counter()
            try:
                stage(item)
            except UnsegError as error:
                _fail(item, str(error))
            except Exception as error:
                text = f"{type(error).__name__}: {error}".splitlines()[0]
                _fail(item, f"{item.job.source} failed in {stage.__name__} ({text}): report this")
            item.seconds += time.perf_counter() - started
            return item

        return run


def overlapped(
    step: Callable[[Given], Made], items: Iterable[Given], *, ahead: int,
    size: Callable[[Given], int], limit: int,
) -> Iterator[Made]:  # fmt: skip
    """Map in one thread, in order, with a bounded number of results waiting.

    An item above the limit is worked on alone and in the calling thread: large blocks that one
    thread has freed are of no use to another, so memory would be held twice.

    Args:
        step: the function.
        items: taken one by one from the calling thread.
        ahead: items that may be under way or wait beyond the one asked for.
        size: weight of an item.
        limit: summed weight of the items that may be under way or wait.
    """
    with ThreadPoolExecutor(1) as pool:
        pending: deque[tuple[int, Future[Made]]] = deque()
        for item in items:
            weight = size(item)
            while pending and weight + sum(one for one, _ in pending) > limit:
                yield pending.popleft()[1].result()
            if weight > limit:
                yield step(item)
                continue
            pending.append((weight, pool.submit(step, item)))
            if len(pending) > ahead:
                yield pending.popleft()[1].result()
        while pending:
            yield pending.popleft()[1].result()


def _fail(item: Item, text: str) -> None:
    """Turn the item's record into an error's; nothing was written."""
    kept = {"source", "output", "source_sha256", "budget", "model", "model_sha256"}
    item.record = Record(
        **item.record.model_dump(include=kept), status="error", error=" ".join(text.split())
    )
    item.release()


def _joined(*notes: str | None) -> str | None:
    return "; ".join(note for note in notes if note) or None
