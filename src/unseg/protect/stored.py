"""Runs over addresses and shards: parts are fetched, protected as a folder is, and put back.

A part is done when its commit is written, which is after its images. Each part goes through the
pipeline of folders in a folder of its own, so that the files are those of a run on this machine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from unseg.errors import UnsegError
from unseg.images.probe import Probe
from unseg.masks.among import AmongPhotographs
from unseg.masks.sources import MaskSource
from unseg.masks.sources.file import MaskFiles
from unseg.protect import manifest
from unseg.protect.commits import write_commit
from unseg.protect.manifest import BudgetRecord, Record
from unseg.protect.noises import NoiseSource
from unseg.protect.parts import Fetched, Part, Shelf, placed
from unseg.protect.pipeline import Pipeline, model_id, weights_sha256
from unseg.protect.plan import make_plan
from unseg.protect.settings import Settings


@dataclass(frozen=True)
class PartWorker:
    """Protects parts; see :class:`unseg.protect.engines.ItemWorker`.

    Args:
        shelf: where they come from and go to.
        settings: what decides the written files.
        digest: checksum of all that decides, for commits.
        sources: find the foreground, asked in order after the masks.
        noises: make the noise, asked in order.
        published: checksums of protected files, which are not protected once more.
    """

    shelf: Shelf
    settings: Settings
    digest: str
    sources: Sequence[MaskSource]
    noises: Sequence[NoiseSource]
    published: frozenset[str | None] = frozenset()

    def run(self, parts: Iterable[Part]) -> Iterator[Record]:
        """Protect parts; yields the records of one when it is committed.

        Raises:
            UnsegError: when what was protected cannot be written.
        """
        for part in parts:
            with tempfile.TemporaryDirectory(prefix="unseg-", ignore_cleanup_errors=True) as folder:
                yield from self._protected(part, Path(folder))

    def _protected(self, part: Part, here: Path) -> list[Record]:
        try:
            fetched = self.shelf.fetch(part, here)
        except UnsegError as error:
            if part.shard is None:
                raise
            records, outputs = [self._failed(part.shard, str(error))], {}
        else:
            found = [*self._records(part, fetched)]
            found += [self._failed(name, text) for name, text in fetched.failed.items()]
            outputs = self.shelf.publish(part, fetched, found)
            records = [placed(record, part) for record in found]
        write_commit(self.shelf.out, part, outputs, self.digest, records)
        return records

    def _records(self, part: Part, fetched: Fetched) -> Iterator[Record]:
        """Records of the images of a part, named as in its folder."""
        inside, out = fetched.here / "in", fetched.here / "out"
        if not any(path.is_file() for path in inside.rglob("*")):
            return
        settings = self.settings
        plan = make_plan([inside], out, format=settings.format, batch_size=settings.batch_size)
        names = [job.source for job in plan.jobs]
        owned: list[MaskSource] = []
        if fetched.masked:
            by_class = settings.target == "class"
            given = MaskFiles(fetched.here / "masks", (), names, by_class=by_class)
            if given.colours:
                raise UnsegError(
                    "--target class: the masks are colour maps, whose colours are numbered over "
                    "all images, which addresses and shards do not show at once: write label "
                    "maps, or copy the images into a folder"
                )
            owned = [given]
        pipeline = Pipeline(
            out, settings, [*owned, *self.sources], self.noises, published=self.published,
            photographs=AmongPhotographs([job.path for job in plan.jobs]),
            probe=None if settings.timeout is None else Probe(settings.timeout),
        )  # fmt: skip
        yield from pipeline.run(plan.jobs)

    def _failed(self, name: str, text: str) -> Record:
        budget = self.settings.budget
        return Record(
            manifest_format=manifest.FORMAT, source=name, output=name, status="error",
            error=" ".join(text.split()), model=model_id(self.noises),
            budget=BudgetRecord(foreground=budget.foreground, background=budget.background),
            model_sha256=weights_sha256(self.noises),
        )  # fmt: skip


def digest_of(
    settings: Settings, sources: Sequence[MaskSource], noises: Sequence[NoiseSource]
) -> str:
    """Checksum of all that an image depends on beside itself and its mask."""
    masks = ",".join(f"{source.name}:{source.identity('')}" for source in sources)
    return settings.digest(weights_sha256(noises), masks)
