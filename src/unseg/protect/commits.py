"""What a run into an address or of shards has done: an object a part, written when all else is.

``unseg-records/NAME.jsonl`` holds a line on the part and one for each image. It is written in one
step after the images, so what has one is done; it needs no appending, which object stores cannot,
and many writers do not meet in it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from unseg.errors import UnsegError
from unseg.protect.manifest import FORMAT, Record
from unseg.protect.parts import Part
from unseg.storage.stores import Store

#: Where the commits lie, below the output.
COMMITS = "unseg-records"


@dataclass(frozen=True)
class Commit:
    """What is known of a part.

    Args:
        part: its name.
        marks: of the files that it was made of.
        outputs: sizes of what was written, in bytes.
        settings: checksum of all that the images depend on beside themselves.
        written: when, in seconds since 1970.
        records: of the images.
    """

    part: str
    marks: dict[str, str]
    outputs: dict[str, int]
    settings: str
    written: float
    records: list[Record]

    def holds(self, names: Iterable[str | None], there: dict[str, str]) -> bool:
        """Whether files that it wrote are there, as long as it wrote them.

        Args:
            names: of the files.
            there: files of the output, with their marks.
        """
        return all(
            name in self.outputs
            and there.get(name, "").partition(":")[0] == str(self.outputs[name])
            for name in names
            if name is not None
        )


def write_commit(
    store: Store, part: Part, outputs: dict[str, int], settings: str, records: Iterable[Record]
) -> None:
    """Write down that a part is done.

    Raises:
        UnsegError: when it cannot be written.
    """
    head = {
        "format": FORMAT, "part": part.name, "marks": part.marks, "outputs": outputs,
        "settings_sha256": settings, "written": time.time(),
    }  # fmt: skip
    lines = [json.dumps(head), *(json.dumps(record.model_dump()) for record in records)]
    store.put(name_of(part), ("\n".join(lines) + "\n").encode())


def name_of(part: Part) -> str:
    """Where the commit of a part lies."""
    return f"{COMMITS}/{part.name}.jsonl"


def read_commits(store: Store, names: Iterable[str]) -> Iterator[Commit]:
    """The commits among some files.

    Args:
        store: the output.
        names: of its files.

    Raises:
        UnsegError: when one is damaged: each was written whole.
    """
    for name in names:
        if not (name.startswith(f"{COMMITS}/") and name.endswith(".jsonl")):
            continue
        first, *lines = store.read(name).decode("utf-8", "replace").splitlines()
        try:
            head = json.loads(first)
            if head["format"] > FORMAT:
                raise ValueError("it was written by a newer unseg")
            yield Commit(
                head["part"], head["marks"], head["outputs"], head["settings_sha256"],
                head["written"], [Record.model_validate_json(line) for line in lines],
            )  # fmt: skip
        except (ValueError, KeyError, TypeError, ValidationError) as error:
            text = str(error).splitlines()[0]
            raise UnsegError(
                f"{store}/{name} is damaged ({text}): remove it, and repeat the run with --resume"
            ) from error


def left_of(
    parts: Sequence[Part], commits: Sequence[Commit], settings: str, there: dict[str, str]
) -> list[Part]:
    """What is left to do of the parts of a run.

    A shard is done when it was made of the same shard, with the same settings, and is there; what
    failed in it would fail again. Of files each counts by itself, and one that failed is left.

    Args:
        parts: of the run.
        commits: of earlier ones.
        settings: checksum of all that decides.
        there: files of the output, with their marks.
    """
    by_source: dict[str, Commit] = {}
    by_part: dict[str, Commit] = {}
    good: dict[str, Record] = {}
    for commit in sorted(commits, key=lambda one: one.written):
        by_part[commit.part] = commit
        for record in commit.records:
            by_source[record.source], good[record.source] = commit, record
    left = []
    for part in parts:
        if part.shard is not None:
            done = by_part.get(part.name)
            same = done is not None and (done.marks, done.settings) == (part.marks, settings)
            if done is None or not same or not done.holds(done.outputs, there):
                left.append(part)
            continue
        rest = []
        for image in part.images:
            before, known = by_source.get(image), good.get(image)
            if (
                before is None
                or known is None
                or known.status == "error"
                or before.settings != settings
                or any(before.marks.get(name) != mark for name, mark in part.needs(image).items())
                or (image not in part.masks and known.mask_file is not None)
                or not before.holds((known.output, known.mask), there)
            ):
                rest.append(image)
        if rest:
            left.append(part if len(rest) == len(part.images) else part.only(rest))
    return left


def records_of(commits: Iterable[Commit]) -> list[Record]:
    """Records of several commits, the latest of each image, sorted by output."""
    found: dict[str, Record] = {}
    for commit in sorted(commits, key=lambda one: one.written):
        found |= {record.source: record for record in commit.records}
    return sorted(found.values(), key=lambda record: (record.output, record.source))
