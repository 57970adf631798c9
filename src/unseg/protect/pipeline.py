"""Protect many images: read -> find -> protect -> write, each stage over an iterator.

Only a few images are in memory at a time. Reading goes ahead and writing lags behind in one
thread each, so that decoding, encoding and checking overlap with the model.
"""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from unseg import files
from unseg.errors import UnsegError
from unseg.files import read_bytes
from unseg.images import writer
from unseg.images.exif import has_location
from unseg.images.formats import FORMATS
from unseg.images.photo import Photo
from unseg.images.probe import Probe
from unseg.images.reader import count_pixels, decode
from unseg.images.strip import stripped
from unseg.masks.among import is_label_map, refusal
from unseg.masks.find import FoundRegions, find_regions
from unseg.masks.regions import Regions
from unseg.masks.sources import MaskSource
from unseg.protect import manifest, memory
from unseg.protect.core import Protection, protect_photo, protect_photos, refuse_unchanged
from unseg.protect.earlier import again
from unseg.protect.judge import Judge
from unseg.protect.manifest import BudgetRecord, ChangeRecord, Record, SurvivalRecord
from unseg.protect.noises import NoiseSource
from unseg.protect.overlap import overlapped
from unseg.protect.plan import Job
from unseg.protect.quality import compare, survival
from unseg.protect.settings import Settings
from unseg.protect.timings import stage
from unseg.remarks import Remark, texts

#: Pixels that may be read ahead, and that may wait for the writer.
_WAITING_PIXELS = 16_000_000


@dataclass
class ImageInWork:
    """One image on its way through the stages; what later stages do not need is let go."""

    job: Job
    record: Record
    photo: Photo | None = None
    regions: Regions | None = None
    protection: Protection | None = None
    judge: Judge | None = None
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
        self.photo = self.regions = self.protection = self.judge = None


@dataclass(frozen=True)
class Pipeline:
    """The stages, with what they need.

    Args:
        out: output folder.
        settings: what decides the written files.
        sources: find the foreground, asked in order.
        noises: make the noise, asked in order.
        published: checksums of protected files, which are not protected once more.
        overwrite: whether existing outputs, an earlier run's, are replaced (else they are an
            error).
        photographs: whether there are photographs among the images, so that a label map is
            refused; asked only where there is one.
        probe: decodes files in another process first; None where that is not wanted.
    """

    out: Path
    settings: Settings
    sources: Sequence[MaskSource]
    noises: Sequence[NoiseSource]
    overwrite: bool = False
    photographs: Callable[[], bool] = bool
    published: Collection[str | None] = ()
    probe: Probe | None = None

    def run(self, jobs: Iterable[Job]) -> Iterator[Record]:
        """Protect images; yields a record each, in order, when its file is in place."""
        try:
            yield from self._run(jobs)
        finally:
            if self.probe is not None:
                self.probe.close()

    def _run(self, jobs: Iterable[Job]) -> Iterator[Record]:
        items = overlapped(
            self._step(self.read), map(self.start, jobs), ahead=1,
            size=lambda item: count_pixels(item.job.path), limit=_WAITING_PIXELS,
        )  # fmt: skip
        items = map(self._step(self.find), items)
        items = self.protect(items)
        for item in overlapped(
            self._step(self.write), items, ahead=2, size=lambda i: i.pixels, limit=_WAITING_PIXELS
        ):
            item.record.seconds = round(item.seconds, 3)
            yield item.record

    def start(self, job: Job) -> ImageInWork:
        """An item that nothing has happened to yet."""
        budget = self.settings.budget
        record = Record(
            manifest_format=manifest.FORMAT,
            source=job.source,
            output=job.output,
            status="protected",
            budget=BudgetRecord(foreground=budget.foreground, background=budget.background),
            model=model_id(self.noises),
            model_sha256=weights_sha256(self.noises),
        )
        return ImageInWork(job, record)

    def read(self, item: ImageInWork) -> None:
        """Read the image."""
        job, record = item.job, item.record
        if job.refusal is not None:
            raise UnsegError(job.refusal)
        self._make_room(job)
        data = read_bytes(job.path, job.source)
        record.source_sha256 = hashlib.sha256(data).hexdigest()
        if record.source_sha256 in self.published:
            raise UnsegError(again(job.source))
        memory.refuse_too_large(count_pixels(job.path), job.source)
        choice = job.settings_for(self.settings).range
        if self.probe is not None:
            self.probe.check(job.path, job.source, choice)
        with stage("decode"):
            photo = decode(data, job.source, choice)
        item.photo = stripped(photo, self.settings.strip, job.source)
        record.range, record.step = photo.stated_range, photo.stated_step
        (record.width, record.height), record.mode = item.photo.size, item.photo.mode

    def find(self, item: ImageInWork) -> None:
        """Find foreground and regions."""
        assert item.photo is not None
        record, settings = item.record, self.settings
        if is_label_map(item.photo) and self.photographs():
            raise UnsegError(refusal(item.job.source))
        with stage("find"):
            found = find_regions(item.photo, self.sources, settings.rules, item.job.source)
        item.regions = found.regions
        self._describe(record, item.photo, found)
        record.target, record.prompts = settings.target, 1 + found.regions.count
        record.settings_sha256 = item.job.settings_for(settings).digest(
            record.model_sha256, masks_identity(self.sources, found.source, item.job.source)
        )

    def protect(self, items: Iterable[ImageInWork]) -> Iterator[ImageInWork]:
        """Publishable pixels, a group of images at a time."""
        single = self._step(self._protect_one)
        for _, group in itertools.groupby(items, key=lambda item: item.job.group):
            members = list(group)
            live = [item for item in members if not item.failed]
            if len(live) > 1:
                self._protect_many(live)
            for item in members:
                yield item if item.protection is not None else single(item)

    def write(self, item: ImageInWork) -> None:
        """Encode, write, read back, check the bound, and only then move the file into place."""
        assert item.photo is not None and item.regions is not None
        assert item.protection is not None
        photo, job, record = item.photo, item.job, item.record
        refuse_unchanged(photo, item.protection, job.source)
        self._remark(record, item.protection.remarks)
        item.judge = item.protection.judge
        record.noise = item.protection.noise
        record.status = "protected" if record.noise is not None else "unchanged"
        record.format = writer.output_format(photo, job.source, self.settings.format)
        # What is left as it is goes through no encoder again.
        record.lossless = FORMATS[record.format].lossless or record.noise is None
        target, mask_target = self.out / job.output, self.out / job.mask
        with files.temporary_file(target, self._encode(item, record.format)) as temporary:
            with stage("read back"):
                data = read_bytes(temporary, job.output)
                record.output_sha256 = hashlib.sha256(data).hexdigest()
                written = decode(data, job.output, photo.stated_range)
                del data
            with stage("measure"):
                self._measure(item, writer.alike(photo, written, job.output))
            mask = writer.encode_mask(item.regions.foreground)
            files.write_atomically(mask_target, mask)
            try:
                files.move(temporary, target)
            except UnsegError:
                mask_target.unlink()
                raise
        record.mask, record.mask_sha256 = job.mask, hashlib.sha256(mask).hexdigest()
        item.release()

    def _describe(self, record: Record, photo: Photo, found: FoundRegions) -> None:
        """Write down where the mask comes from, and what is to be known of image and mask.

        Raises:
            UnsegError: for a warning, where the settings are strict.
        """
        kind = writer.output_format(photo, record.source, self.settings.format)
        record.location = has_location(photo.exif) or (kind == "TIFF" and photo.location)
        remarks = (*photo.remarks, *writer.losses(photo, kind), *found.remarks)
        self._remark(record, remarks)
        record.mask_source, record.mask_note = found.source, found.note
        record.found = found.objects
        record.mask_file, record.mask_file_sha256 = found.file, found.file_sha256
        record.foreground_share = round(float(found.regions.foreground.mean()), 6)

    def _remark(self, record: Record, remarks: tuple[Remark, ...]) -> None:
        """Write down what is to be known.

        Raises:
            UnsegError: for a warning, where the settings are strict.
        """
        record.notes += texts(remarks, warning=False)
        record.warnings += texts(remarks, warning=True)
        if self.settings.strict and record.warnings:
            raise UnsegError(f"{record.source}: {record.warnings[0]} (--strict)")

    def _encode(self, item: ImageInWork, kind: str) -> bytes:
        """The file's bytes; the pixels they were made of are let go unless they are compared."""
        assert item.photo is not None and item.protection is not None
        untouched = self.settings.format == "same" and self.settings.strip == "none"
        if item.record.noise is None and untouched:
            return read_bytes(item.job.path, item.job.source)
        changed = replace(item.photo, pixels=item.protection.pixels, format=kind)
        if item.record.lossless:
            item.protection = None
        with stage("encode"):
            return writer.encode(changed, kind, item.job.source, self.settings.quality)

    def _measure(self, item: ImageInWork, written: Photo) -> None:
        """Compare what was read back with the original; over the budget is an error.

        Raises:
            UnsegError: when a lossless file breaks the bound.
        """
        assert item.photo is not None and item.regions is not None
        record, budget = item.record, self.settings.budget
        quality = compare(item.photo, written, item.regions.foreground, item.judge)
        change = quality.change
        record.change = ChangeRecord(inside=change.inside, outside=change.outside)
        record.within_budget = change.within(budget)
        record.psnr = None if quality.psnr is None else round(quality.psnr, 3)
        record.ssim = None if quality.ssim is None else round(quality.ssim, 5)
        record.visibility_score = round(quality.visibility, 2)
        if record.lossless and not record.within_budget:
            raise UnsegError(
                f"{item.job.output} changed by {change.inside:g} inside and {change.outside:g} "
                f"outside the mask, over the budget of {budget.foreground:g} and "
                f"{budget.background:g}. The file was not kept; please report this"
            )
        if item.protection is not None and record.noise is not None:
            kept = survival(item.photo.pixels, item.protection.pixels, written.pixels)
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
                files.tried(partial(target.unlink, missing_ok=True))
            except OSError as error:
                raise files.cannot_write(target, error) from error

    def _protect_one(self, item: ImageInWork) -> None:
        assert item.photo is not None and item.regions is not None
        chosen = self.settings
        try:
            item.protection = protect_photo(
                item.photo, item.regions, self.noises, chosen.budget, chosen.visibility
            )
        except UnsegError as error:  # the core knows no names
            raise UnsegError(f"{item.job.source}: {error}") from error

    def _protect_many(self, items: list[ImageInWork]) -> None:
        """One pass for a group; should it fail, each image is tried alone and says why."""
        started = time.perf_counter()
        photos = [item.photo for item in items if item.photo is not None]
        regions = [item.regions for item in items if item.regions is not None]
        chosen = self.settings
        try:
            made = protect_photos(photos, regions, self.noises, chosen.budget, chosen.visibility)
        except Exception:  # the single passes that follow report the cause by image
            return
        share = (time.perf_counter() - started) / len(items)
        for item, protection in zip(items, made, strict=True):
            item.protection = protection
            item.seconds += share

    def _step(self, stage: Callable[[ImageInWork], None]) -> Callable[[ImageInWork], ImageInWork]:
        """A stage that records failures, so that the other images go on."""

        def run(item: ImageInWork) -> ImageInWork:
            if item.failed:
                return item
            started = time.perf_counter()
            try:
                stage(item)
            except UnsegError as error:
                _fail(item, str(error))
            except Exception as error:
                if memory.is_exhausted(error):
                    _fail(item, f"{item.job.source} needs more memory than there is: end other "
                          "programs, lower --batch-size, or make it smaller")  # fmt: skip
                    return item
                text = f"{type(error).__name__}: {error}".splitlines()[0]
                name = stage.__name__.removeprefix("_").removesuffix("_one")
                _fail(item, f"{item.job.source} failed in {name} ({text}): please report this")
            item.seconds += time.perf_counter() - started
            return item

        return run


def model_id(noises: Sequence[NoiseSource]) -> str:
    """Names of the weights that noise sources have, for records."""
    return ", ".join(dict.fromkeys(one.model_id for one in noises if one.model_id)) or "none"


def weights_sha256(noises: Sequence[NoiseSource]) -> str:
    """Checksum of the weights that noise sources have; of a single one its own."""
    found = list(dict.fromkeys(one.sha256 for one in noises if one.sha256))
    return found[0] if len(found) == 1 else hashlib.sha256("".join(found).encode()).hexdigest()


def masks_identity(sources: Sequence[MaskSource], answered: str, name: str) -> str:
    """What a mask depends on: the sources that were asked, to the one that answered."""
    parts = []
    for source in sources:
        parts.append(f"{source.name}:{source.identity(name)}")
        if source.name == answered:
            break
    return ",".join(parts)


def _fail(item: ImageInWork, text: str) -> None:
    """Turn the item's record into an error's; nothing was written."""
    kept = {
        "manifest_format",
        "source",
        "output",
        "source_sha256",
        "budget",
        "model",
        "model_sha256",
    }
    item.record = Record(
        **item.record.model_dump(include=kept), status="error", error=" ".join(text.split())
    )
    item.release()
