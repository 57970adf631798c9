"""The door for addresses and shards: what lies there is protected, resumed and reported."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unseg.errors import UnsegError
from unseg.files import AnyPath, walk
from unseg.key import Key, owner_key
from unseg.masks.sources import load_sources
from unseg.progress import Progress, Update
from unseg.protect.commits import COMMITS, left_of, read_commits, records_of
from unseg.protect.engines import DEFAULT_ENGINE, ENGINES, Engine
from unseg.protect.folder_report import FolderReport
from unseg.protect.keys import FIELD, models_of
from unseg.protect.lock import LOCK, locked
from unseg.protect.manifest import FORMAT, MANIFEST, MASKS, PARQUET, RUN, ManifestKind, Record
from unseg.protect.noises import load_noises
from unseg.protect.output import Existing
from unseg.protect.parquet import table_bytes
from unseg.protect.parts import TOGETHER, Part, Shelf, is_image, parts_in
from unseg.protect.pipeline import model_id, weights_sha256
from unseg.protect.settings import Settings
from unseg.protect.shard import Shard, shard_of
from unseg.protect.stop import stoppable
from unseg.protect.stored import PartWorker, digest_of
from unseg.protect.totals import totals_of
from unseg.provenance import provenance
from unseg.storage.lease import Lease, leased
from unseg.storage.stores import Folder, Store, as_place, is_address, store_of
from unseg.storage.tars import is_shard


def is_elsewhere(inputs: Sequence[AnyPath], out: AnyPath) -> bool:
    """Whether a run is over addresses or shards; a folder of images that also holds a tar is not.

    Args:
        inputs: of the run.
        out: its output.
    """
    if any(is_address(one) for one in (*inputs, out)):
        return True
    return any(_holds_shards(Path(as_place(one))) for one in inputs)


def _holds_shards(path: Path) -> bool:
    if not path.is_dir():
        return path.is_file() and is_shard(path.name)
    found = False
    for one, _ in walk([path], set(), {MASKS}):
        if is_image(one.name):
            return False
        found = found or is_shard(one.name)
    return found


def protect_elsewhere(
    inputs: Sequence[AnyPath],
    out: AnyPath,
    settings: Settings,
    *,
    masks: AnyPath | None,
    existing: Existing,
    again: bool,
    shard: Shard | None,
    engine: Engine | None,
    manifest: ManifestKind,
    progress: Progress,
) -> FolderReport:
    """Protect what lies at addresses, and shards anywhere; see
    :func:`unseg.protect.folder.protect_folder`.

    Raises:
        UnsegError: when nothing can be started, or what was protected cannot be written.
        KeyboardInterrupt: after Ctrl-C, when the parts in hand are finished.
    """
    if settings.chooses_silent:
        raise UnsegError(
            "--silent auto looks at all images at once, which addresses and shards do not show: "
            "name the labels without noise, such as --silent 0,1,4, or give first"
        )
    stores, listed = _listed(inputs)
    target = store_of(out)
    _check_apart(stores, target)
    if not again:
        for store, names in zip(stores, listed, strict=True):
            if RUN in names or any(name.startswith(f"{COMMITS}/") for name in names):
                raise UnsegError(
                    f"{store} holds images that unseg protect wrote ({RUN} is there): give the "
                    "originals, or --again"
                )
    given = None if masks is None else store_of(masks)
    parts, ignored = parts_in(listed, None if given is None else given.marks(), TOGETHER)
    if shard is not None:
        parts = [part for place, part in enumerate(parts) if shard.takes(place)]
    run = _Run(
        Shelf(tuple(stores), target, given), settings, parts, ignored, existing, shard,
        engine or ENGINES.build(DEFAULT_ENGINE), manifest == "parquet", time.perf_counter(),
    )  # fmt: skip
    with _held(target, shard) as lease:
        return run.complete(lease, progress)


def refuse_elsewhere(options: Mapping[str, object]) -> None:
    """Refuse options that are for folders of this machine.

    Args:
        options: by name; None and False are not given.

    Raises:
        UnsegError: naming the first that is given.
    """
    for name, value in options.items():
        if value is not None and value is not False:
            raise UnsegError(
                f"{name} is for images in folders of this machine, not for addresses and shards: "
                "leave it out, or copy the images here"
            )


def _listed(inputs: Sequence[AnyPath]) -> tuple[list[Store], list[dict[str, str]]]:
    """The stores that the inputs lie in, and which of their files are meant."""
    stores: list[Store] = []
    listed: list[dict[str, str]] = []
    for one in inputs:
        place = as_place(one)
        single = is_shard(str(place)) or is_image(str(place).rpartition("/")[2])
        if single and (isinstance(place, str) or place.is_file()):
            above, _, name = str(place).rpartition("/")
            store = store_of(above or ".")
            marks = store.marks()
            names = {name: marks[name]} if name in marks else {}
        else:
            store = store_of(place)
            names = store.marks()
        if not names:
            raise UnsegError(f"{one} holds nothing: expected images or shards")
        stores.append(store)
        listed.append(names)
    return stores, listed


def _check_apart(stores: Sequence[Store], target: Store) -> None:
    """Refuse an output in an input or around it."""
    there = _place(target)
    for store in stores:
        here = _place(store)
        if there.startswith(here) or here.startswith(there):
            raise UnsegError(
                f"the output {target} and the input {store} overlap: choose another output, as "
                "originals are never touched"
            )


def _place(store: Store) -> str:
    text = str(store.path.resolve()) if isinstance(store, Folder) else store.place
    return text.rstrip("/") + "/"


@contextmanager
def _held(target: Store, shard: Shard | None) -> Iterator[Lease | None]:
    """Hold the output against other runs."""
    if isinstance(target, Folder):
        with locked(target.path, shard):
            yield None
        return
    name = _own(LOCK, shard)

    def others() -> list[str]:
        return [one for one in target.hidden(LOCK) if one != name and not _beside(one, shard)]

    with leased(target, name, others) as lease:
        yield lease


def _beside(lock: str, shard: Shard | None) -> bool:
    """Whether a lock is that of another part of the same run."""
    other = shard_of(lock, LOCK)
    return other is not None and shard is not None and other.count == shard.count


def _own(name: str, shard: Shard | None) -> str:
    return name if shard is None else shard.named(name)


@dataclass
class _Run:
    """A run, once it is known what it is over."""

    shelf: Shelf
    settings: Settings
    parts: list[Part]
    ignored: list[str]
    existing: Existing
    shard: Shard | None
    engine: Engine
    parquet: bool
    started: float

    def complete(self, lease: Lease | None, progress: Progress) -> FolderReport:
        """Do what is left, each part with its commit, and report."""
        target = self.shelf.out
        there = target.marks()
        self._check_output(there)
        goes_on = self.existing == "resume" or (self.shard is not None and there != {})
        self.settings = _with_key(self.settings, target, there, resume=goes_on)
        models = models_of(self.settings)
        noises = load_noises(self.settings.noises, models)
        sources = load_sources(self.settings.find, models)
        digest = digest_of(self.settings, sources, noises)
        earlier = list(read_commits(target, there)) if self.existing != "refuse" else []
        left, kept = self.parts, []
        if self.existing == "resume":
            left = left_of(self.parts, earlier, digest, there)
        todo = {image for part in left for image in part.images} | {
            part.shard for part in left if part.shard is not None
        }
        kept = [record for record in records_of(earlier) if _unit(record, self.parts) not in todo]
        about: dict[str, Any] = {
            "mask_sources": [*(["file"] if self._masked else []), *(one.name for one in sources)],
            "model": model_id(noises), "model_sha256": weights_sha256(noises),
            "device": models.device,
        }  # fmt: skip
        self._write_run("running", about, None)
        worker = PartWorker(self.shelf, self.settings, digest, sources, noises, _sums(kept))
        records = list(kept)
        files = bool(self.parts and self.parts[0].shard is None)
        total = sum(len(part.images) for part in self.parts) if files else len(self.parts)
        begun = total - len(todo)
        progress(Update("protecting", begun, total))
        done: set[str] = set()
        with stoppable() as stop:
            for record in self.engine.run(worker, left, id, lambda: stop.asked, 1):
                if lease is not None:
                    lease.check()
                records.append(record)
                done.add(_unit(record, self.parts))
                progress(Update("protecting", begun + len(done), total, record))
            if stop.asked and len(done) < len(todo):
                self._write_run("interrupted", about, None)
                stop.leave(f"stopped with {begun + len(done)} of {total} done: --resume goes on")
        records.sort(key=lambda record: (record.output, record.source))
        mine = {name for part in self.parts for name in (part.images or (part.shard,))}
        planned = [record for record in records if _unit(record, self.parts) in mine]
        before = {record.source for record in kept}
        totals = totals_of(
            planned, kept=sum(record.source in before for record in planned),
            ignored=len(self.ignored), owned=self._masked,
            seconds=time.perf_counter() - self.started,
        )  # fmt: skip
        about |= {"totals": totals}
        description = self._write_run("finished", about, records if self.shard is None else None)
        key = self.settings.owner_key
        made = key.path if key is not None and key.made else None
        place = target.path if isinstance(target, Folder) else target.place
        return FolderReport(place, planned, description, [], made_key=made)

    @property
    def _masked(self) -> bool:
        return self.shelf.masks is not None

    def _check_output(self, there: dict[str, str]) -> None:
        ours = any(
            name.startswith(f"{COMMITS}/") or name == RUN or shard_of(name, RUN) for name in there
        )
        own = _own(RUN, self.shard)
        if self.existing == "refuse" and (own in there or (ours and self.shard is None)):
            raise UnsegError(
                f"{self.shelf.out} holds an earlier run: use --resume to continue it, --overwrite "
                "to replace its images, or choose another place with -o"
            )
        if not ours and there:
            raise UnsegError(
                f"{self.shelf.out} holds {len(there)} files that no such run wrote (first: "
                f"{next(iter(there))}): choose another place with -o"
            )

    def _write_run(
        self, status: str, about: dict[str, Any], records: list[Record] | None
    ) -> dict[str, Any]:
        """Write the run's file, and with records the manifest that it describes."""
        target, key = self.shelf.out, self.settings.owner_key
        content: dict[str, Any] = {
            "format": FORMAT, "status": status, **provenance(seed=0),
            "settings": self.settings.describe(),
            FIELD: None if key is None else key.describe(),
            "shard": None if self.shard is None else [self.shard.number, self.shard.count],
            "inputs": [store.place for store in self.shelf.inputs],
            "ignored": self.ignored[:100], "totals": None, **about,
        }  # fmt: skip
        if records is not None:
            content |= write_manifest(target, records, parquet=self.parquet)
        target.put(_own(RUN, self.shard), (json.dumps(content, indent=2) + "\n").encode())
        if status == "finished" and self.shard is None:
            for name in target.marks():
                if shard_of(name, RUN) is not None:
                    target.remove(name)
        return content


def write_manifest(target: Store, records: Sequence[Record], *, parquet: bool) -> dict[str, str]:
    """Write all records into one manifest.

    Returns:
        Checksums, for the run's file.
    """
    from hashlib import sha256

    data = "".join(json.dumps(record.model_dump()) + "\n" for record in records).encode()
    target.put(MANIFEST, data)
    sums = {"manifest_sha256": sha256(data).hexdigest()}
    if parquet:
        table = table_bytes(record.model_dump() for record in records)
        target.put(PARQUET, table)
        sums["parquet_sha256"] = sha256(table).hexdigest()
    else:
        target.remove(PARQUET)
    return sums


def _unit(record: Record, parts: Sequence[Part]) -> str:
    """What a record is a part of: its image, or where there are shards its shard."""
    if parts and parts[0].shard is None:
        return record.source
    head, found, _ = record.source.partition(".tar/")
    return f"{head}.tar" if found else record.source


def _sums(records: Sequence[Record]) -> frozenset[str | None]:
    good = (record.output_sha256 for record in records if record.status == "protected")
    return frozenset(good) - {None}


def _with_key(
    settings: Settings, target: Store, there: dict[str, str], *, resume: bool
) -> Settings:
    """Settings whose key is known, and that of the run that goes on."""
    runs = [name for name in there if name == RUN or shard_of(name, RUN) is not None]
    described = [(target.read_json(name) or {}).get(FIELD) for name in runs] if resume else []
    earlier = next((one for one in described if isinstance(one, dict)), None)
    given = settings.key if isinstance(settings.key, Key | Path) else None
    outside = (target.path,) if isinstance(target, Folder) else ()
    key = owner_key(given, make=earlier is None, outside=outside)
    if earlier is not None and not key.is_of(earlier):
        raise UnsegError(
            f"{target} was begun with another key, from {earlier.get('source')}, and this one is "
            f"from {key.source}: give that key with --key, or --overwrite to protect all anew"
        )
    return replace(settings, key=key)
