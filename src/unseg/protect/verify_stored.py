"""Check what a run wrote to an address or into shards: part by part, in a folder of its own."""

from __future__ import annotations

import io
import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from pathlib import Path

from pydantic import ValidationError

from unseg.errors import UnsegError
from unseg.files import AnyPath
from unseg.progress import Progress, Update
from unseg.protect.commits import COMMITS, read_commits, records_of
from unseg.protect.manifest import MANIFEST, MASKS, PARQUET, RUN, Record
from unseg.protect.parquet import read_table
from unseg.protect.parts import is_image
from unseg.protect.shard import shard_of
from unseg.storage.stores import Store, as_place, store_of
from unseg.storage.tars import is_shard, members_of

#: Images of files that are fetched together.
TOGETHER = 64

#: Checks one record against a folder, and folders with originals.
Check = Callable[[Path, Record, Sequence[Path]], None]
#: Notes a problem: the file, and what is wrong with it.
Report = Callable[[str, str], None]


def is_stored(folder: AnyPath) -> bool:
    """Whether a run over addresses or shards wrote there."""
    place = as_place(folder)
    if isinstance(place, str):
        return True
    return (place / COMMITS).is_dir()


def verify_stored(
    folder: AnyPath, originals: Sequence[AnyPath], check: Check, report: Report, progress: Progress
) -> tuple[list[Record], list[str]]:
    """Check every record, and that there is nothing else.

    Args:
        folder: the output, as a path or an address.
        originals: what was protected.
        check: of one record.
        report: takes the problems.
        progress: told of every record.

    Returns:
        The records, and the originals that have none.

    Raises:
        UnsegError: when there are no records, or an original place holds nothing.
    """
    store = store_of(folder)
    there = store.marks()
    records = _records(store, there, report)
    homes = [_Originals(one) for one in originals]
    by_part: dict[str, list[Record]] = defaultdict(list)
    for place, record in enumerate(records):
        by_part[_shard_in(record.output) or f"{place // TOGETHER}"].append(record)
    done = 0
    progress(Update("verifying", 0, len(records)))
    for group in by_part.values():
        with tempfile.TemporaryDirectory(prefix="unseg-", ignore_cleanup_errors=True) as scratch:
            here = Path(scratch)
            good = [record for record in group if record.status != "error"]
            _fetch(store, [n for r in good for n in (r.output, r.mask) if n], there, here / "out")
            places = []
            for number, home in enumerate(homes):
                places.append(here / f"{number}")
                _fetch(home.store, [r.source for r in good], home.there, places[-1])
            for record in group:
                check(here / "out", record, places)
                done += 1
                progress(Update("verifying", done, len(records), record))
    listed = {_shard_in(n) or n for r in records if r.status != "error" for n in (r.output, r.mask)
              if n}  # fmt: skip
    for name in there:
        if (is_image(name) or is_shard(name)) and name not in listed:
            report(name, "is not listed in the manifest: remove it, or protect it")
    known = {_shard_in(record.source) or record.source for record in records}
    unlisted = [
        name for home in homes for name in home.there
        if (is_image(name) or is_shard(name)) and not name.startswith(f"{MASKS}/")
        and name not in known
    ]  # fmt: skip
    shards = any(is_shard(name) for name in known)
    return records, [name for name in unlisted if is_shard(name) == shards]


class _Originals:
    """A place with originals: a folder, an address, or a single shard."""

    def __init__(self, one: AnyPath) -> None:
        place = as_place(one)
        only = None
        if is_shard(str(place)) and not (isinstance(place, Path) and place.is_dir()):
            above, _, only = str(place).rpartition("/")
            place = as_place(above or ".")
        self.store = store_of(place)
        there = self.store.marks()
        self.there = {name: mark for name, mark in there.items() if only in (None, name)}
        if not self.there:
            raise UnsegError(f"--originals {one} holds nothing: expected what was protected")


def _records(store: Store, there: dict[str, str], report: Report) -> list[Record]:
    """All records: of the manifest where the run is finished, else of the commits."""
    run = store.read_json(RUN) if RUN in there else None
    parts = [name for name in there if shard_of(name, RUN) is not None]
    if run is None and not parts and not any(name.startswith(f"{COMMITS}/") for name in there):
        raise UnsegError(f"{store} cannot be verified: it holds no run that unseg protect wrote")
    if run is None or run.get("status") != "finished":
        whole = "repeat it with --resume" if run or not parts else (
            "join its parts with --resume and without --shard"
        )  # fmt: skip
        report(RUN, f"the run did not finish: {whole}")
        return records_of(read_commits(store, there))
    for name, noted in ((MANIFEST, "manifest_sha256"), (PARQUET, "parquet_sha256")):
        if name in there and sha256(store.read(name)).hexdigest() != run.get(noted):
            report(name, f"differs from the one that {RUN} describes: it was changed")
    if MANIFEST in there:
        rows: Iterable[object] = store.read(MANIFEST).decode("utf-8", "replace").splitlines()
        kind = MANIFEST
    elif PARQUET in there:
        rows, kind = read_table(io.BytesIO(store.read(PARQUET))), PARQUET
    else:
        report(MANIFEST, "is missing: repeat the run with --resume")
        return records_of(read_commits(store, there))
    records = []
    for number, row in enumerate(rows, 1):
        try:
            records.append(Record.model_validate(json.loads(row) if isinstance(row, str) else row))
        except (ValidationError, ValueError) as error:
            report(kind, f"record {number} is damaged ({str(error).splitlines()[0]})")
    return records


def _fetch(store: Store, names: Sequence[str], there: dict[str, str], target: Path) -> None:
    """Have files, and members of shards, in a folder; what is missing is left out."""
    target.mkdir(parents=True)
    shards = {shard for name in names if (shard := _shard_in(name)) is not None}
    for shard in shards & there.keys():
        try:
            for member in members_of(store.read(shard), shard):
                if member.data is not None and is_image(member.name):
                    _write(target / shard / member.name, member.data)
        except UnsegError:  # its records will miss their files
            continue
    for name in names:
        if name in there and _shard_in(name) is None:
            _write(target / name, store.read(name))


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _shard_in(name: str) -> str | None:
    """The shard that a name leads into; None for files."""
    if is_shard(name):
        return name
    head, found, _ = name.partition(".tar/")
    return f"{head}.tar" if found else None
