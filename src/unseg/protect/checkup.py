"""Whether this installation works: versions, device, weights, extras, and one image protected."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from importlib import metadata, resources
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from PIL import features

from unseg.errors import UnsegError
from unseg.extras import EXTRAS
from unseg.key import SECRET_BYTES, Key
from unseg.models.loaded import pick_device
from unseg.protect import memory
from unseg.provenance import LIBRARIES, sha256_file

#: Checksums of the weights that ship, as sha256sum writes them.
CHECKSUMS = "SHA256SUMS"
#: Side of the image of the self-test, in pixels.
SIDE = 256

State = Literal["fine", "missing", "wrong"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        part: what it belongs to, such as ``weights``.
        name: what was looked at.
        text: what was found, and for what is missing or wrong how to mend it.
        state: ``missing`` is optional and not installed; ``wrong`` keeps unseg from working.
    """

    part: str
    name: str
    text: str
    state: State = "fine"


def check_up(device: str = "auto") -> list[Finding]:
    """Look at everything that unseg needs; nothing is written and no network is asked.

    Args:
        device: on which the self-test runs; see :class:`~unseg.protect.settings.Settings`.

    Returns:
        What was found, in the order of the parts. unseg works if none is ``wrong``.
    """
    return [*_versions(), *_machine(device), *_weights(), *_extras(), _self_test(device)]


def _versions() -> list[Finding]:
    found = [Finding("versions", "python", f"{platform.python_version()}, {platform.platform()}")]
    for name in dict.fromkeys((*LIBRARIES, "opencv-python-headless", "safetensors")):
        try:
            found.append(Finding("versions", name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue  # an extra's; those are told by the extras
    lacks = [name for name in ("jpg", "zlib", "webp") if not features.check(name)]
    if lacks:
        text = f"Pillow was built without {', '.join(lacks)}: install it as a wheel (pip)"
        found.append(Finding("versions", "image formats", text, "wrong"))
    return found


def _machine(device: str) -> list[Finding]:
    try:
        chosen, state = pick_device(device), "fine"
    except UnsegError as error:
        chosen, state = str(error), "wrong"
    if chosen.startswith("cuda"):
        chosen = f"{chosen} ({torch.cuda.get_device_name(chosen)})"
    free = memory.available()
    threads = f"torch {torch.get_num_threads()}, OpenCV {cv2.getNumThreads()}"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = [
        Finding("machine", "device", chosen, "wrong" if state == "wrong" else "fine"),
        Finding("machine", "threads", f"{threads}, of {cores} processors"),
    ]
    if free is not None:
        small = free < 1 << 30
        text = f"{free / 2**30:.1f} GiB free" + (
            "; unseg needs about 1 GiB: end other programs" if small else ""
        )
        found.append(Finding("machine", "memory", text, "wrong" if small else "fine"))
    return found


def _weights() -> list[Finding]:
    folder = Path(str(resources.files("unseg") / "assets"))
    try:
        lines = (folder / CHECKSUMS).read_text("utf-8").splitlines()
    except OSError:
        text = f"{folder / CHECKSUMS} is missing: install unseg again"
        return [Finding("weights", CHECKSUMS, text, "wrong")]
    found = []
    for line in lines:
        wanted, _, name = line.partition("  ")
        path = folder / name
        if not path.is_file():
            found.append(Finding("weights", name, "is missing: install unseg again", "wrong"))
        elif (sha256 := sha256_file(path)) != wanted:
            text = f"sha256 {sha256[:12]}..., expected {wanted[:12]}...: install unseg again"
            found.append(Finding("weights", name, text, "wrong"))
        else:
            size = path.stat().st_size / 1e6
            found.append(
                Finding("weights", name, f"{size:.1f} MB, sha256 {wanted[:12]}..., as shipped")
            )
    return found


def _extras() -> list[Finding]:
    found = []
    for name, extra in EXTRAS.items():
        missing = [pack for pack, module in extra.modules.items() if find_spec(module) is None]
        text = "installed"
        if missing:
            text = f"{extra.purpose} needs {', '.join(missing)}: pip install 'unseg[{name}]'"
        found.append(Finding("extras", name, text, "missing" if missing else "fine"))
    return found


def _self_test(device: str) -> Finding:
    """Protect one drawn image with the shipped weights, and check what came out."""
    from unseg.protect.protector import Protector

    rows, columns = np.mgrid[:SIDE, :SIDE]
    disc = (rows - SIDE / 2) ** 2 + (columns - SIDE / 2) ** 2 < (SIDE / 3) ** 2
    grey = 90 + 30 * np.sin(rows / 20) + 20 * np.cos(columns / 15) + 60 * disc
    image = np.clip(grey[..., None] + [10, 0, -10], 0, 255).astype(np.uint8)
    started = time.perf_counter()
    try:
        protector = Protector.from_pretrained(
            device=device, key=Key(bytes(SECRET_BYTES))
        )  # makes none
        loaded = time.perf_counter()
        result = protector.protect(image, disc)
    except Exception as error:  # whatever it is, it is what the user wants to know
        return Finding("self-test", "one image", f"failed: {' '.join(str(error).split())}", "wrong")
    done = time.perf_counter()
    change = np.abs(result.image.astype(int) - image)[disc]
    wrong = []
    if not 0 < result.change.inside <= 8 or not result.change.outside <= 2:
        wrong.append(f"changed by {result.change.inside:g} and {result.change.outside:g} steps")
    if (change > 0).mean() < 0.5:
        wrong.append("most of the object has no noise")
    if wrong:
        return Finding("self-test", "one image", f"failed: {'; '.join(wrong)}", "wrong")
    text = (
        f"{SIDE} x {SIDE} pixels protected within the bound ({result.change.inside:g} inside, "
        f"{result.change.outside:g} outside) in {done - loaded:.1f} s, "
        f"after {loaded - started:.1f} s of loading"
    )
    return Finding("self-test", "one image", text)
