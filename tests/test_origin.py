"""A protector in other processes: what is pickled, and that forked ones do not hang."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import unseg
from noise_stub import WaveSource, noises, photo
from unseg.errors import UnsegError
from unseg.key import Key
from unseg.models.registry import resolve
from unseg.protect import origin

IMAGE = photo()
MASK = IMAGE[..., 0] > 140


def load(text: str = "a test", **options: str) -> unseg.Protector:
    return unseg.Protector.from_pretrained(device="cpu", key=Key.of_text(text), **options)


@pytest.fixture(scope="module")
def protector() -> unseg.Protector:
    return load()


def test_what_arrives_protects_alike_and_weighs_little(protector: unseg.Protector) -> None:
    packed = pickle.dumps(protector)
    assert len(packed) < 2000
    arrived = pickle.loads(packed)  # noqa: S301
    assert type(arrived) is unseg.Protector and arrived.noises[0] is not protector.noises[0]
    assert np.array_equal(arrived.protect(IMAGE, MASK).image, protector.protect(IMAGE, MASK).image)
    assert pickle.dumps(arrived) == packed, "it travels on as it came"


def test_equal_protectors_are_equal_bytes_and_others_are_not(protector: unseg.Protector) -> None:
    assert pickle.dumps(load()) == pickle.dumps(protector)
    others = [load("another key"), load(salience="none")]
    assert len({pickle.dumps(one) for one in (protector, *others)}) == 3


def test_datasets_takes_equal_protectors_for_equal(protector: unseg.Protector) -> None:
    from datasets.fingerprint import Hasher

    def hashed(one: unseg.Protector) -> str:
        return Hasher.hash(lambda row: {"image": one.protect(row["image"]).image})

    assert hashed(load()) == hashed(protector) != hashed(load("another key"))


def test_weights_are_loaded_once_for_all_that_arrive(protector: unseg.Protector) -> None:
    packed = pickle.dumps(protector)
    first, second = (pickle.loads(packed) for _ in range(2))  # noqa: S301
    assert first is not second and first.base is second.base


def test_a_protector_that_was_changed_travels_whole(protector: unseg.Protector) -> None:
    changed = copy.copy(protector)
    changed.noises = noises(WaveSource())
    changed.sources, changed.base = [], None
    arrived = pickle.loads(pickle.dumps(changed))  # noqa: S301
    assert type(arrived.noises[-1]) is type(changed.noises[-1]) and arrived.base is None


def test_other_weights_under_the_same_name_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    weights = resolve("default").read_bytes()
    Path("mine.safetensors").write_bytes(weights)
    packed = pickle.dumps(load(model="mine.safetensors"))
    monkeypatch.chdir("/")
    assert pickle.loads(packed).base is not None, "found from elsewhere"  # noqa: S301
    origin._loaded.cache_clear()
    # Spaces at the header's end are allowed, and change the file's checksum.
    length = int.from_bytes(weights[:8], "little")
    padded = (length + 8).to_bytes(8, "little") + weights[8 : 8 + length] + b" " * 8
    (tmp_path / "mine.safetensors").write_bytes(padded + weights[8 + length :])
    with pytest.raises(UnsegError, match="other weights"):
        pickle.loads(packed)  # noqa: S301


FORK = """
import multiprocessing, sys, torch
import unseg.models.loaded
torch.set_num_threads(2)
image, weight = torch.randn(1, 64, 256, 256), torch.randn(64, 64, 3, 3)
work = lambda: torch.nn.functional.conv2d(image, weight).sum().item()
work()
context = multiprocessing.get_context("fork")
child = context.Process(target=work)
child.start()
child.join(200)
hangs = child.is_alive()
child.kill()
sys.exit(f"hangs: {hangs}, {child.exitcode}" if hangs or child.exitcode else 0)
"""


@pytest.mark.skipif(not hasattr(sys, "getdlopenflags"), reason="no fork on this system")
def test_a_forked_process_does_not_wait_for_threads_that_it_has_not() -> None:
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
