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
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from torch import Tensor

from unseg.data.masks import (
    LabelMap,
    LabelRules,
    Regions,
    find_regions,
    read_label_map,
    void_share,
)
from unseg.errors import UnsegError
from unseg.protect import writers
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
from unseg.protect.readers import Photo, Pixels, decode, read_bytes
from unseg.protect.sources import MaskProposer, NoiseSource

Given = TypeVar("Given")
Made = TypeVar("Made")

#: Pixels that may wait for the writer.
_WAITING_PIXELS = 8_000_000


@dataclass
class Item:
    """One image on its way through the stages; what later stages do not need is let go."""

    job: Job
    record: Record
    photo: Photo | None = None
    labels: LabelMap | None = None
    regions: Regions | None = None
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
        self.photo = self.labels = self.regions = self.view = self.noise = self.protected = None


@dataclass(frozen=True)
class Pipeline:
    """The stages, with what they need.

    Args:
        out: output folder.
        settings: budget, format, label rules.
        source: makes noise.
        proposer: finds a foreground where no mask is given.
        replace: whether existing outputs are replaced (else they are an error).
    """

    out: Path
    settings: Settings
    source: NoiseSource
    proposer: MaskProposer
    replace: bool = False

    def run(self, jobs: Iterable[Job]) -> Iterator[Record]:
        """Protect images; yields a record each, in order, when its file is in place."""
        items = overlapped(self._step(self.read), map(self.start, jobs), ahead=1)
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
            item.regions = find_regions(item.labels, rules)
            void = void_share(item.labels, rules)
            if void > max(0.5, item.regions.foreground.mean()):
                record.mask_note = f"{void:.0%} of the mask file is void and counts as background"
            empty = "the mask file has no foreground"
        else:
            if self.settings.masks is not None:
                record.mask_note = "no mask file for this image"
            record.mask_source = "proposal"
            proposal = propose(item.photo, self.proposer)
            labels = LabelMap(proposal.mask.astype(np.int32))
            item.regions = find_regions(labels, LabelRules(target=rules.target))
            empty = "nothing was proposed"
        if not item.regions.foreground.any():
            record.mask_source = "whole-image"
            record.mask_note = empty if record.mask_note is None else f"{record.mask_note}; {empty}"
            item.regions = Regions.union(np.ones(item.regions.foreground.shape, bool))
        record.target, record.prompts = rules.target, 1 + item.regions.count
        record.foreground_share = round(float(item.regions.foreground.mean()), 6)
        record.settings_sha256 = self.settings.digest(self.source.sha256, record.mask_file_sha256)
        item.labels = None
        item.view = view(item.photo, item.regions)

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
        assert item.photo is not None and item.regions is not None and item.noise is not None
        foreground = item.regions.foreground
        item.protected = add_noise(
            item.photo, item.noise, foreground, self.settings.budget, item.job.source
        )
        item.noise = item.view = None

    def write(self, item: Item) -> None:
        """Encode, write, read back, check the bound, and only then move the file into place."""
        assert item.photo is not None and item.regions is not None
        assert item.protected is not None
        photo, job, record, foreground = item.photo, item.job, item.record, item.regions.foreground
        kind = writers.output_format(photo, job.source, self.settings.format)
        intended = Photo(item.protected, photo.alpha, kind, photo.icc, photo.exif, photo.chunks)
        data = writers.encode(intended, kind, job.source)
        target, mask_target = self.out / job.output, self.out / job.mask
        with writers.temporary_file(target, data) as temporary:
            data = read_bytes(temporary, job.output)
            written = writers.alike(photo, decode(data, job.output), job.output)
            quality = compare(photo, written, foreground)
            record.lossless = kind != "JPEG"
            record.change = ChangeRecord(
                inside=quality.change.inside, outside=quality.change.outside
            )
            record.within_budget = quality.change.within(self.settings.budget)
            if record.lossless and not record.within_budget:
                raise UnsegError(
                    f"{job.output} changed by {quality.change.inside:g} inside and "
                    f"{quality.change.outside:g} outside the mask, over the budget of "
                    f"{self.settings.budget}: the file was not kept, please report this"
                )
            if not record.lossless:
                kept = survival(photo.pixels, item.protected, written.pixels)
                record.survival = SurvivalRecord(
                    correlation=round(kept.correlation, 4), energy=round(kept.energy, 4)
                )
            mask = writers.encode_mask(foreground)
            writers.write_atomically(mask_target, mask)
            try:
                writers.move(temporary, target)
            except UnsegError:
                mask_target.unlink()
                raise
        record.output_sha256 = hashlib.sha256(data).hexdigest()
        record.mask, record.mask_sha256 = job.mask, hashlib.sha256(mask).hexdigest()
        record.format = kind
        record.psnr = None if quality.psnr is None else round(quality.psnr, 3)
        record.ssim = None if quality.ssim is None else round(quality.ssim, 5)
        item.release()

    def _make_room(self, job: Job) -> None:
        """Refuse to replace a file unasked; remove an earlier result that is to be replaced."""
        target = self.out / job.output
        if not target.exists():
            return
        if not self.replace:
            raise UnsegError(f"{target} exists already: use --overwrite, or choose another -o")
        try:
            target.unlink()
            (self.out / job.mask).unlink(missing_ok=True)
        except OSError as error:
            raise writers.cannot_write(target, error) from error

    def _noise_one(self, item: Item) -> None:
        assert item.view is not None
        item.noise = noise_fields(self.source, [item.view])[0]

    def _noise_many(self, items: list[Item]) -> None:
        """One pass for a group; should it fail, each image is tried alone and says why."""
        started = time.perf_counter()
        views = [item.view for item in items if item.view is not None]
        try:
            fields = noise_fields(self.source, views)
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
    size: Callable[[Given], int] = lambda _: 0, limit: int = 0,
) -> Iterator[Made]:  # fmt: skip
    """Map in one thread, in order, with a bounded number of results waiting.

    Args:
        step: the function.
        items: taken one by one from the calling thread.
        ahead: items that may be under way or wait beyond the one asked for.
        size: weight of an item.
        limit: summed weight above which no further item is taken before one is finished.
    """
    with ThreadPoolExecutor(1) as pool:
        pending: deque[tuple[int, Future[Made]]] = deque()
        for item in items:
            weight = size(item)
            pending.append((weight, pool.submit(step, item)))
            del item
            while len(pending) > ahead or (pending and sum(w for w, _ in pending) > limit > 0):
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
