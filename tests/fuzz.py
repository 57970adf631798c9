"""Damaged files: every one gives a result or an error of one line, and neither hangs nor crashes.

``python tests/fuzz.py --images 20000 --annotations 10000 -o findings`` draws small files,
takes those of UNSEG_CASES where it is there, damages them and gives them to the public readers. An
input depends on the seed and its number alone. What goes wrong is written to a folder: the input,
and what happened. The exit code is 1 then. Workers are processes of their own, so that one that
dies is a finding, too.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import re
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from types import FrameType
from typing import Any

import fuzz_seeds
from fuzz_seeds import Seed
from unseg.errors import UnsegError
from unseg.images.formats import FORMATS
from unseg.images.reader import decode, rgb_of
from unseg.images.writer import encode
from unseg.masks.among import is_label_map
from unseg.masks.annotations import read_annotations
from unseg.masks.labels import read_binary_mask, read_label_map
from unseg.masks.outlines import decode_rle, fill_polygons

#: Seconds that one input may take.
LIMIT = 20.0
#: Inputs that one worker does.
BATCH = 500
#: Longest message of an error, in characters.
LONGEST = 1500

_NUMBERS = (
    0, 1, 2, 7, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF,
)  # fmt: skip
_WORDS = (
    b"NaN", b"-1", b"1e999", b"null", b'""', b"[]", b"{}", b"true", b"0", b"99999999999999999999",
    b"-0.0", b"Infinity", b'"\\u0000"', b'"../../x"', b"[[[[[[", b"\xff\xfe", b"\xef\xbb\xbf",
    b"\n", b"<", b"&amp;", b"&x;", b"1_0", b"\xc2\xb2", b"1.5", b'"7"',
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 7, 2**31, 2**63, 10**30, 1e308, -0.5, float("nan"), float("inf"),
    "", "7", "a.jpg", "../a.jpg", "/", "\0", "\ud800", "\n", [], {}, [[]], [0], [1, 2], [[1, 2, 3]],
    [1e30] * 6, {"size": [0, 0], "counts": []}, {"size": [9, 9], "counts": "~~"}, "x" * 5000,
)  # fmt: skip
_TOKEN = re.compile(rb"-?\d+(?:\.\d+)?|\"[^\"]*\"|[{}\[\],:<>/]|\w+")


def mutated(rng: random.Random, seeds: Sequence[Seed], *, text: bool) -> Seed:
    """A seed with some damage; most often of one to three places."""
    if text:  # as many JSON files as others, however many of those there are
        kind = rng.choice((".json", ".json", ".xml", ".txt"))
        name, data = rng.choice([seed for seed in seeds if seed[0].endswith(kind)])
    else:
        name, data = rng.choice(seeds)
    other = rng.choice(seeds)[1]
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 8))):
        if text and rng.random() < 0.95:
            body = _parsed(data) if rng.random() < 0.8 else None
            data = _word(rng, data) if body is None else _value(rng, body)
        elif data.startswith(b"\x89PNG") and rng.random() < 0.6:
            data = _chunk(rng, data)
        else:
            data = rng.choice(_DAMAGES)(rng, data, other)
    if rng.random() < 0.02:  # a kind under another's name
        name = rng.choice(seeds)[0]
    return name, data


def _flip(rng: random.Random, data: bytes, other: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        if changed:
            changed[_place(rng, len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _number(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """A whole number of some width and byte order in place of what is there."""
    kind, size = rng.choice((("B", 1), ("<H", 2), (">H", 2), ("<I", 4), (">I", 4)))
    if len(data) < size:
        return data
    at = _place(rng, len(data) - size + 1)
    value = rng.choice(_NUMBERS) & ((1 << 8 * size) - 1)
    return data[:at] + struct.pack(kind, value) + data[at + size :]


def _truncate(rng: random.Random, data: bytes, other: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _remove(rng: random.Random, data: bytes, other: bytes) -> bytes:
    at = _place(rng, len(data) + 1)
    return data[:at] + data[at + rng.choice((1, 2, 4, 12, 100, 1000)) :]


def _double(rng: random.Random, data: bytes, other: bytes) -> bytes:
    at, size = _place(rng, len(data) + 1), rng.choice((1, 4, 12, 100, 1000))
    return data[:at] + data[at : at + size] * rng.choice((2, 2, 5)) + data[at + size :]


def _splice(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """The beginning of one file and the end of another."""
    return data[: _place(rng, len(data) + 1)] + other[_place(rng, len(other) + 1) :]


def _fill(rng: random.Random, data: bytes, other: bytes) -> bytes:
    at, size = _place(rng, len(data) + 1), rng.choice((1, 4, 16, 200))
    return data[:at] + rng.randbytes(size) + data[at + size :]


_DAMAGES = (_flip, _flip, _number, _number, _truncate, _remove, _double, _splice, _fill)


def _place(rng: random.Random, size: int) -> int:
    """Somewhere, more often near the beginning, where headers are."""
    if size <= 1:
        return 0
    return rng.randrange(min(size, 400) if rng.random() < 0.5 else size)


def _chunk(rng: random.Random, data: bytes) -> bytes:
    """A PNG with a chunk damaged, doubled, left out or moved, and right checksums."""
    parts: list[tuple[bytes, bytes]] = []
    at = 8
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        parts.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    if not parts:
        return data
    which = rng.randrange(len(parts))
    kind, payload = parts[which]
    what = rng.randrange(6)
    if what == 0:
        del parts[which]
    elif what == 1:
        parts.insert(rng.randrange(len(parts) + 1), (kind, payload))
    elif what == 2:
        parts[which] = rng.choice((b"tRNS", b"PLTE", b"iCCP", b"eXIf", b"acTL", b"zTXt")), payload
    else:
        parts[which] = kind, rng.choice(_DAMAGES)(rng, payload, payload)
    body = b"".join(
        struct.pack(">I", len(p)) + k + p + struct.pack(">I", zlib.crc32(k + p)) for k, p in parts
    )
    return data[:8] + body


def _word(rng: random.Random, data: bytes) -> bytes:
    """Text with a number, a string or a bracket replaced, doubled or left out."""
    found = list(_TOKEN.finditer(data))
    if not found:
        return data
    one = rng.choice(found)
    start, end = one.span()
    what = rng.randrange(4)
    if what == 0:
        return data[:start] + data[end:]
    if what == 1:
        return data[:end] + one.group() + data[end:]
    new = rng.choice(_WORDS) if what == 2 else rng.choice(found).group()
    return data[:start] + new + data[end:]


def _parsed(data: bytes) -> Any:
    """The content of JSON; None of anything else."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict | list) and found else None


def _value(rng: random.Random, body: Any) -> bytes:
    """JSON with a value replaced, doubled, left out or put under another key."""
    here = body
    while True:  # down to somewhere
        key = rng.choice(list(here) if isinstance(here, dict) else range(len(here)))
        inner = here[key]
        if not isinstance(inner, dict | list) or not inner or rng.random() < 0.15:
            break
        here = inner
    what = rng.randrange(6)
    if what == 0:
        del here[key]
    elif what == 1 and isinstance(here, list):
        here.insert(key, json.loads(json.dumps(inner)))
    elif what == 1:
        here[f"{key}2"] = here.pop(key)
    elif what == 2:
        here[key] = [inner]
    else:
        here[key] = rng.choice(_VALUES)
    return json.dumps(body).encode()


def read_image(name: str, data: bytes, folder: Path) -> None:
    """Read an image, show it, write it again as what it is, and read that."""
    photo = decode(data, name)
    rgb_of(photo)
    is_label_map(photo)
    if FORMATS[photo.format].written:
        again = decode(encode(photo, photo.format, name), name, photo.stated_range)
        if again.size != photo.size:
            raise AssertionError(f"{again.size} was written of {photo.size}")


def read_mask(name: str, data: bytes, folder: Path) -> None:
    """Read a file as labels and as a black and white mask."""
    path = folder / f"mask{Path(name).suffix}"
    path.write_bytes(data)
    try:
        read_label_map(path, name)
    finally:
        read_binary_mask(path)


def read_boxes(name: str, data: bytes, folder: Path) -> None:
    """Read annotations from a folder and from a file, and draw their outlines."""
    path = folder / name
    for old in folder.iterdir():
        old.unlink()
    path.write_bytes(data)
    with suppress(UnsegError):  # as of COCO, which is a file
        read_annotations(folder)
    found = read_annotations(path)
    for one in found.images.values():
        for shape in one.shapes:
            if shape.rle is not None and shape.rle.height * shape.rle.width < 1 << 24:
                decode_rle(shape.rle)
            fill_polygons(list(shape.polygons), 80, 60)


READERS: dict[str, tuple[Callable[[str, bytes, Path], None], Callable[[], list[Seed]]]] = {
    "images": (read_image, fuzz_seeds.images),
    "masks": (read_mask, fuzz_seeds.masks),
    "annotations": (read_boxes, fuzz_seeds.annotations),
}


@cache
def seeds_of(what: str) -> list[Seed]:
    """The whole files of one of :data:`READERS`."""
    return READERS[what][1]()


def case(what: str, seed: int, number: int) -> Seed:
    """The damaged file of a number."""
    rng = random.Random(f"{what} {seed} {number}")
    return mutated(rng, seeds_of(what), text=what == "annotations")


class TooSlow(BaseException):
    """An input took longer than the limit; no reader may catch it."""


def _stop(number: int, frame: FrameType | None) -> None:
    raise TooSlow


@dataclass
class Outcome:
    """What happened: read, refused, or the finding's text."""

    kind: str
    text: str = ""


def find_in_slice(what: str, count: int, seed: int, folder: Path) -> list[str]:
    """What goes wrong in a few inputs, tried in this process."""
    wrong = []
    for number in range(count):
        outcome = tried(what, *case(what, seed, number), folder)
        if outcome.kind not in {"read", "refused"}:
            wrong.append(f"{what} {seed} {number}: {outcome.kind}\n{outcome.text}")
    return wrong


def tried(what: str, name: str, data: bytes, folder: Path, limit: float = LIMIT) -> Outcome:
    """Give an input to its reader."""
    signal.signal(signal.SIGALRM, _stop)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            READERS[what][0](name, data, folder)
    except UnsegError as error:
        text = str(error)
        if "\n" in text or not text.strip() or len(text) > LONGEST:
            return Outcome("message", text[: 2 * LONGEST])
        return Outcome("refused", text)
    except TooSlow:
        return Outcome("slow", traceback.format_exc())
    except BaseException:
        return Outcome("traceback", traceback.format_exc())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return Outcome("read")


@dataclass
class Job:
    """Numbers of inputs, from a first one on."""

    what: str
    seed: int
    first: int
    count: int
    limit: float = LIMIT


def work(job: Job, queue: Any, at: Synchronized[int]) -> None:
    """Try the inputs of a job; in a process of its own."""
    # What is printed by libraries of damage is of no interest.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    counts: Counter[str] = Counter()
    found: list[tuple[int, str, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(job.first, job.first + job.count):
            at.value = number
            made = case(job.what, job.seed, number)
            outcome = tried(job.what, *made, Path(folder), job.limit)
            counts[outcome.kind] += 1
            if outcome.kind not in {"read", "refused"}:
                found.append((number, outcome.kind, outcome.text))
    queue.put((counts, found))


@dataclass
class Findings:
    """Counts of outcomes, and what went wrong: number, kind and text."""

    counts: Counter[str] = field(default_factory=Counter)
    found: list[tuple[int, str, str]] = field(default_factory=list)


def run(what: str, count: int, seed: int, limit: float = LIMIT, tell: Any = None) -> Findings:
    """Try damaged files, a batch in a process of its own."""
    seeds_of(what)
    context = multiprocessing.get_context("fork")
    total, first = Findings(), 0
    while first < count:
        size = min(BATCH, count - first)
        queue, at = context.SimpleQueue(), context.Value("q", first)
        job = Job(what, seed, first, size, limit)
        worker = context.Process(target=work, args=(job, queue, at))
        worker.start()
        while worker.is_alive() and queue.empty():
            before = at.value
            worker.join(limit * 2)
            if worker.is_alive() and at.value == before and queue.empty():
                worker.kill()  # stuck where no signal reaches it
                worker.join()
        if queue.empty():
            # What came before is counted once more, in a batch that ends there.
            stuck = int(at.value)
            text = f"the process ended with {worker.exitcode}"
            total.found.append((stuck, "crash", text))
            total.counts["crash"] += 1
            first = stuck + 1
            continue
        counts, found = queue.get()
        worker.join()
        total.counts.update(counts)
        total.found += found
        first += size
        if tell is not None:
            tell(f"{what}: {first} of {count}, {dict(total.counts)}")
    return total


def save(findings: Findings, what: str, seed: int, out: Path) -> None:
    """Write the inputs that went wrong, and what happened."""
    out.mkdir(parents=True, exist_ok=True)
    for number, kind, text in findings.found:
        name, data = case(what, seed, number)
        stem = f"{what}-{seed}-{number}-{kind}"
        (out / f"{stem}{Path(name).suffix}").write_bytes(data)
        (out / f"{stem}.log").write_text(text)
    about = {"what": what, "seed": seed, "counts": dict(findings.counts)}
    (out / f"{what}-{seed}.json").write_text(json.dumps(about, indent=1) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    for what in READERS:
        parser.add_argument(f"--{what}", type=int, default=0, help=f"how many damaged {what}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds an input may take")
    parser.add_argument("-o", "--output", type=Path, default=Path("fuzz-findings"))
    chosen = parser.parse_args()
    started = time.monotonic()
    tell = partial(_say, started)
    wrong = 0
    for what in READERS:
        if count := getattr(chosen, what):
            found = run(what, count, chosen.seed, chosen.limit, tell)
            save(found, what, chosen.seed, chosen.output)
            wrong += len(found.found)
    return 1 if wrong else 0


def _say(started: float, text: str) -> None:
    sys.stdout.write(f"{time.monotonic() - started:7.0f} s  {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
