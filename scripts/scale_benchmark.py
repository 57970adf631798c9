"""Many small images through one process and through Ray, whose workers are killed on the way.

    python scripts/scale_benchmark.py -o docs/scale.json --work /tmp/scale --images 10000

The noise is a drawn wave and no model, so that the seconds are those of everything else: reading,
masks, the judge, encoding, flushing to disk, reading back, measuring, records, and what Ray adds.
``--model`` takes the generator that ships. A run that is cut off is continued by the same command;
seconds of both runs add up.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

import unseg
from unseg.key import VARIABLE, Key
from unseg.progress import Update
from unseg.protect.engines import ENGINES, Engine
from unseg.protect.manifest import MANIFEST
from unseg.protect.noises import NoiseSource
from unseg.protect.view import View
from unseg.provenance import library_versions


class Waves(NoiseSource):
    """A wave along both sides."""

    name, summary, model_id, sha256 = "waves", "a wave along both sides", "waves", "ab" * 32

    def fields(self, views: Sequence[View]) -> list[torch.Tensor]:
        fields = []
        for view in views:
            height, width = view.foreground.shape
            place = 0.7 * torch.arange(width) + 0.4 * torch.arange(height)[:, None]
            fields.append(torch.sign(torch.sin(place + torch.arange(3.0)[:, None, None])))
        return fields


def make_images(folder: Path, count: int, side: int) -> None:
    """Crops of photographs from scikit-image, each with a disc as its mask; seeds are numbers."""
    import skimage.data as data

    photographs = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket()]
    rows, columns = np.mgrid[:side, :side]
    for number in range(count):
        chance = np.random.default_rng(number)
        photograph = photographs[number % len(photographs)]
        top, left = (int(chance.integers(0, n - side)) for n in photograph.shape[:2])
        middle, radius = chance.uniform(0.3, 0.7, 2) * side, chance.uniform(0.15, 0.35) * side
        disc = (rows - middle[0]) ** 2 + (columns - middle[1]) ** 2 < radius**2
        name = f"{number // 1000:02}/{number:05}.png"
        for part, pixels in (
            ("photos", photograph[top : top + side, left : left + side, :3]), ("masks", disc),
        ):  # fmt: skip
            path = folder / part / name
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)


class Killer:
    """Kills a worker of the pool, chosen at random, every so often.

    Args:
        every: seconds between two kills, on average.
        seed: of which, and when.
    """

    def __init__(self, every: float, seed: int = 0) -> None:
        self.chance, self.every, self.kills = random.Random(seed), every, 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self.chance.uniform(0.5, 1.5) * self.every):
            workers = _workers()
            if workers:
                os.kill(self.chance.choice(workers), signal.SIGKILL)
                self.kills += 1


def _workers() -> list[int]:
    """Processes of actors of this program's cluster, while they work."""
    import psutil

    found = []
    for one in psutil.Process().children(recursive=True):
        try:
            if one.name().startswith("ray::MapWorker"):
                found.append(one.pid)
        except psutil.Error:
            continue
    return sorted(found)


def run(
    work: Path, name: str, engine: Engine, noises: tuple[str, ...], seconds: dict[str, float]
) -> dict[str, Any]:
    """One run, or what is left of it."""
    out, begun = work / name, time.perf_counter()

    def shown(update: Update) -> None:
        if update.done % 250 == 0:
            spent = time.perf_counter() - begun
            print(f"{name}: {update.done} of {update.total}, {spent:.0f} s", flush=True)  # noqa: T201

    report = unseg.protect_folder(
        work / "photos", out, unseg.Settings(noises=noises), masks=work / "masks",
        existing="resume" if out.exists() else "refuse", engine=engine, progress=shown,
    )  # fmt: skip
    if report.totals["kept_from_earlier_run"] < report.totals["images"]:
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - begun
    return report.totals


def checksum(out: Path) -> str:
    """Of all files and records of a run; seconds are left out."""
    digest = hashlib.sha256()
    for path in sorted(out.rglob("*.png")):
        digest.update(path.relative_to(out).as_posix().encode() + path.read_bytes())
    for line in (out / MANIFEST).read_text().splitlines():
        digest.update(json.dumps({**json.loads(line), "seconds": 0}).encode())
    return digest.hexdigest()


def main() -> None:
    """Both runs, one after the other, and what came of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kill-every", type=float, default=60.0)
    parser.add_argument("--model", action="store_true")
    parser.add_argument("--no-verify", dest="verify", action="store_false")
    given = parser.parse_args()
    os.environ[VARIABLE] = Key.of_text("the benchmark").secret.hex()
    noises = ("generator",) if given.model else ("scale_benchmark:Waves",)
    make_images(given.work, given.images, given.side)
    kept = given.work / "seconds.json"
    seconds: dict[str, float] = json.loads(kept.read_text()) if kept.exists() else {}
    serial = run(given.work, "serial", ENGINES.build("serial"), noises, seconds)
    kept.write_text(json.dumps(seconds))
    with Killer(given.kill_every) as killer:
        spread = run(
            given.work, "ray", ENGINES.build("ray", workers=given.workers), noises, seconds
        )
    kills = int(seconds.pop("kills", 0)) + killer.kills
    kept.write_text(json.dumps({**seconds, "kills": kills}))
    sums = {name: checksum(given.work / name) for name in ("serial", "ray")}
    found = unseg.verify_folder(given.work / "ray", given.work / "photos") if given.verify else None
    content = {
        "images": given.images, "side": given.side, "noise": noises[0],
        "workers": given.workers, "threads": torch.get_num_threads(), "cpus": os.cpu_count(),
        "load": os.getloadavg(), "versions": library_versions(),
        "seconds": {name: round(one, 1) for name, one in seconds.items()},
        "images_per_second": {
            name: round(given.images / one, 2) for name, one in seconds.items()
        },
        "kills": kills, "sha256": sums, "identical": sums["serial"] == sums["ray"],
        "protected": {"serial": serial["protected"], "ray": spread["protected"]},
        "verified": found and found.ok, "problems": found and len(found.problems),
    }  # fmt: skip
    given.output.write_text(json.dumps(content, indent=1) + "\n")
    print(json.dumps(content, indent=1))  # noqa: T201


if __name__ == "__main__":
    main()
