"""Files that hang, crash or are too large; two runs on one folder; runs in parts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from noise_stub import photo
from unseg.errors import UnsegError
from unseg.images.probe import Probe
from unseg.protect import folder, lock, memory, pipeline
from unseg.protect.lock import LOCK, hold, locked
from unseg.protect.manifest import MANIFEST, RUN
from unseg.protect.shard import Shard

Cli = Callable[..., tuple[int, str, str]]

#: A process that tries files, whose decoder hangs on some, crashes on some and dies once.
ODD_DECODER = """
import os, signal, time
from pathlib import Path
from unseg.images import probe, reader
genuine = reader.read_photo
def read(path, name, choice):
    if "hangs" in name:
        time.sleep(100)
    if "crashes" in name:
        os.kill(os.getpid(), signal.SIGSEGV)
    once = Path(path).parent / ".killed"
    if "killed" in name and not once.exists():
        once.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return genuine(path, name, choice)
reader.read_photo = read
probe.main()
"""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    place = tmp_path / "photos"
    place.mkdir()
    for i in range(7):
        Image.fromarray(photo(24, 24, seed=i)).save(place / f"{i}.png")
    return place


def records(out: Path) -> list[dict[str, Any]]:
    lines = (out / MANIFEST).read_text().splitlines()
    return [{**json.loads(line), "seconds": 0} for line in lines]


def test_files_that_hang_or_crash_a_decoder_cost_only_themselves(
    cli: Cli, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("hangs", "crashes", "killed"):
        Image.fromarray(photo(24, 24, seed=9)).save(photos / f"{name}.png")
    odd = partial(Probe, command=(sys.executable, "-c", ODD_DECODER))
    monkeypatch.setattr(folder, "Probe", odd)
    code, _, err = cli("protect", photos, "-o", tmp_path / "out", "--timeout", "2")
    assert code == 1
    text = " ".join(err.split())
    assert "hangs.png took longer than 2 seconds to decode (--timeout)" in text
    assert "crashes.png makes its decoder crash" in text
    by_name = {one["source"]: one for one in records(tmp_path / "out")}
    assert sorted(name for name, one in by_name.items() if one["error"]) == [
        "crashes.png", "hangs.png"
    ]  # fmt: skip
    # One whose process was killed from outside is tried again.
    assert by_name["killed.png"]["status"] == "protected"
    assert not (tmp_path / "out" / "hangs.png").exists()


def test_with_a_time_limit_the_same_files_come_out(cli: Cli, photos: Path, tmp_path: Path) -> None:
    (photos / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    assert cli("protect", photos, "-o", tmp_path / "a")[0] == 1
    assert cli("protect", photos, "-o", tmp_path / "b", "--timeout", "60")[0] == 1
    assert records(tmp_path / "a") == records(tmp_path / "b")


def test_a_time_limit_is_a_number_of_seconds(cli: Cli, photos: Path, tmp_path: Path) -> None:
    code, _, err = cli("protect", photos, "-o", tmp_path / "out", "--timeout", "0")
    assert code == 2 and "timeout=0" in err


def test_the_process_that_tries_files_ends_with_who_asked(photos: Path) -> None:
    probe = Probe(60)
    probe.check(photos / "0.png", "0.png")
    process = probe._process
    assert process is not None and process.stdin is not None and process.poll() is None
    process.stdin.close()  # as when who asked was killed
    assert process.wait(timeout=30) == 0
    probe.close()


def test_an_image_larger_than_memory_is_refused_before_it_is_decoded(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(np.zeros((3000, 4000), np.uint8)).save(tmp_path / "in" / "huge.png")
    Image.fromarray(photo(24, 24)).save(tmp_path / "in" / "small.png")
    monkeypatch.setattr(memory, "available", lambda: 100 << 20)
    decoded: list[str] = []
    genuine = pipeline.decode
    monkeypatch.setattr(
        pipeline, "decode", lambda data, name, *more: (decoded.append(name), genuine(data, name,
                                                       *more))[1]
    )  # fmt: skip
    code, _, err = cli("protect", tmp_path / "in", "-o", tmp_path / "out")
    text = " ".join(err.split())
    assert code == 1 and "huge.png has 12 megapixels and needs" in text and "0.1 GiB are left" in (
        text
    )  # fmt: skip
    assert "huge.png" not in decoded and (tmp_path / "out" / "small.png").exists()


def test_the_process_limit_counts_as_memory() -> None:
    """What is free is the least of what machine, container and process allow."""
    code = (
        "import resource; from unseg.protect.memory import available;"
        "resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30)); print(available())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    free = memory.available()
    assert free is not None and 0 < int(done.stdout) < 4 << 30


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        ValueError("OpenCV(4.13) error: (-4:Insufficient memory) Failed to allocate 9 bytes"),
    ],
)
def test_memory_that_runs_out_is_said_of_its_image(
    cli: Cli, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    genuine = pipeline.find_regions

    def find(shot: Any, sources: Any, rules: Any, name: str) -> Any:
        if name == "3.png":
            raise error
        return genuine(shot, sources, rules, name)

    monkeypatch.setattr(pipeline, "find_regions", find)
    code, _, err = cli("protect", photos, "-o", tmp_path / "out")
    assert code == 1 and "3.png needs more memory than there is" in " ".join(err.split())
    assert sum(one["status"] == "protected" for one in records(tmp_path / "out")) == 6


HOLDER = """
import sys, time
from pathlib import Path
from unseg.protect.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(100)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Any:
    """Another process that holds ``out``."""
    line = [sys.executable, "-c", HOLDER, str(tmp_path / "out")]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_two_runs_on_one_folder_exclude_each_other(
    cli: Cli, photos: Path, tmp_path: Path, holder: Any
) -> None:
    out = tmp_path / "out"
    lines = [
        ("protect", photos, "-o", out),
        ("protect", photos, "-o", out, "--resume", "--shard", "1/2"),
        ("masks", photos, "-o", out),
        ("dataset", photos.parent / "set", "--layout", "pairs", "--splits", "all", "-o", out),
    ]
    for part in ("images", "labels"):
        (tmp_path / "set" / part).mkdir(parents=True)
    Image.fromarray(photo(24, 24)).save(tmp_path / "set" / "images" / "a.png")
    Image.fromarray(photo(24, 24)[..., 0] // 128).save(tmp_path / "set" / "labels" / "a.png")
    for line in lines:
        code, _, err = cli(*line)
        text = " ".join(err.split())
        assert code == 2 and "is in use by another run" in text, line
        assert f"(process {holder.pid} on " in text
    assert [path.name for path in out.iterdir()] == [LOCK]
    # The system drops the lock of a process that was killed, so nobody is locked out.
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (out / LOCK).exists()
    assert cli("protect", photos, "-o", out)[0] == 0
    assert not (out / LOCK).exists()


def test_two_runs_on_one_file_exclude_each_other(cli: Cli, photos: Path, tmp_path: Path) -> None:
    with hold(tmp_path / ".unseg-x.png.lock", "it"):
        code, _, err = cli("protect", photos / "0.png", "-o", tmp_path / "x.png")
    assert code == 2 and "x.png is in use by another run" in " ".join(err.split())
    assert cli("protect", photos / "0.png", "-o", tmp_path / "x.png")[0] == 0
    assert not list(tmp_path.glob(".unseg*"))


def test_the_parts_of_a_run_are_held_side_by_side(tmp_path: Path) -> None:
    with locked(tmp_path, Shard(1, 3)), locked(tmp_path, Shard(2, 3)):
        for other in (None, Shard(1, 3), Shard(1, 2)):
            with pytest.raises(UnsegError, match="in use by another run"), locked(tmp_path, other):
                pass
    with locked(tmp_path), pytest.raises(UnsegError, match="in use"), locked(tmp_path, Shard(1, 3)):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("system", [True, None], ids=["locks", "no locks"])
def test_what_a_dead_process_or_machine_left_is_recognised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: bool | None
) -> None:
    monkeypatch.setattr(lock, "_lock", lambda descriptor: system)
    path = tmp_path / LOCK
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    here = os.uname().nodename
    old = time.time() - 2 * lock.DEAD_AFTER

    def left(pid: int, host: str, at: float) -> None:
        path.write_text(json.dumps({"pid": pid, "host": host, "started": at}))
        os.utime(path, (at, at))

    for pid, host, at in ((dead.pid, here, time.time()), (os.getppid(), "elsewhere", old)):
        left(pid, host, at)
        with locked(tmp_path):
            pass
    left(77, "elsewhere", time.time())  # which may not share its locks with this machine
    with (
        pytest.raises(UnsegError, match=f"77 on elsewhere.*or remove {path} if that run is over"),
        locked(tmp_path),
    ):
        pass
    if system is None:
        left(os.getppid(), here, time.time())
        with pytest.raises(UnsegError, match="in use"), locked(tmp_path):
            pass
    path.write_text("nonsense")
    with locked(tmp_path):
        pass


def test_a_lock_is_never_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / LOCK).symlink_to(tmp_path / "precious")
    with pytest.raises(UnsegError, match="cannot be written"), locked(tmp_path / "out"):
        pass
    assert (tmp_path / "precious").read_text() == "precious"


def test_many_threads_take_one_lock_in_turn(tmp_path: Path) -> None:
    inside, most, done = 0, 0, []

    def work() -> None:
        nonlocal inside, most
        while True:
            try:
                with locked(tmp_path):
                    inside += 1
                    most = max(most, inside)
                    time.sleep(0.002)
                    inside -= 1
                    done.append(1)
                    return
            except UnsegError:
                time.sleep(0.001)

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1 and len(done) == 12


@pytest.mark.parametrize("batch", [1, 2])
def test_parts_give_the_files_of_one_run_and_are_joined(
    cli: Cli, photos: Path, tmp_path: Path, batch: int
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert cli("protect", photos, "-o", whole, "--batch", batch)[0] == 0
    line = ("protect", photos, "-o", out, "--batch", batch)
    for number in (2, 1):
        assert cli(*line, "--shard", f"{number}/3")[0] == 0
    code, text, _ = cli("verify", out)
    assert code == 1 and "unseg-manifest-3-of-3.jsonl: is missing: run part 3 of 3" in text
    assert cli(*line, "--shard", "3/3")[0] == 0
    assert cli("verify", out, "--originals", photos)[0] == 0
    code, _, err = cli(*line, "--shard", "1/2")
    assert code == 2 and "holds a run in 3 parts, not 2" in " ".join(err.split())
    code, _, err = cli(*line, "--shard", "1/3")
    assert code == 2 and "holds an earlier run" in " ".join(err.split())
    code, _, err = cli(*line)
    assert code == 2 and "holds an earlier run" in " ".join(err.split())
    code, text, _ = cli(*line, "--resume", "--shard", "1/3", "--json")
    assert code == 0 and json.loads(text)["totals"]["kept_from_earlier_run"] >= 2
    # A damaged image is done again by its part alone, and all are joined into one manifest.
    (out / "0.png").write_bytes(b"half")
    code, text, _ = cli(*line, "--resume", "--json")
    assert code == 0 and json.loads(text)["totals"]["kept_from_earlier_run"] == 7 - batch
    assert records(out) == records(whole)
    assert sorted(path.name for path in out.glob("unseg-*.json*")) == [MANIFEST, RUN]
    assert cli("verify", out, "--originals", photos)[0] == 0


def test_what_parts_wrote_is_not_protected_again(cli: Cli, photos: Path, tmp_path: Path) -> None:
    assert cli("protect", photos, "-o", tmp_path / "out", "--shard", "1/2")[0] == 0
    code, _, err = cli("protect", tmp_path / "out", "-o", tmp_path / "twice")
    assert code == 2 and "holds images that unseg protect wrote" in " ".join(err.split())


def test_parts_have_one_key(
    cli: Cli, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = ("protect", photos, "-o", tmp_path / "out", "--shard")
    assert cli(*line, "1/2")[0] == 0
    monkeypatch.setenv("UNSEG_KEY", "ab" * 32)
    code, _, err = cli(*line, "2/2")
    assert code == 2 and "was begun with another key" in " ".join(err.split())


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2"])
def test_a_part_that_is_none_is_refused(cli: Cli, photos: Path, tmp_path: Path, text: str) -> None:
    code, _, err = cli("protect", photos, "-o", tmp_path / "out", f"--shard={text}")
    assert code == 2 and "--shard" in err and not (tmp_path / "out").exists()


def test_parts_of_a_data_set_and_of_masks(cli: Cli, photos: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        assert cli("masks", photos, "-o", tmp_path / "set/labels", "--shard", f"{number}/2")[0] == 0
    assert len(list((tmp_path / "set" / "labels").iterdir())) == 7
    for path in (tmp_path / "set" / "labels").iterdir():
        Image.fromarray(np.asarray(Image.open(path)) // 255).save(path)
    photos.rename(tmp_path / "set" / "images")
    (tmp_path / "set" / "readme.txt").write_text("seven images")
    line = ("dataset", tmp_path / "set", "--layout", "pairs", "--splits", "all", "-o")
    assert cli(*line, tmp_path / "whole")[0] == 0
    out = tmp_path / "out"
    for number in (1, 2):
        code, text, _ = cli(*line, out, "--shard", f"{number}/2")
        assert code == 0 and f"part {number} of 2 is done" in text
    code, text, _ = cli("verify", out)
    assert code == 1 and "not all copied" in text
    assert cli(*line, out, "--resume")[0] == 0
    assert records(out) == records(tmp_path / "whole")
    assert (out / "readme.txt").exists() and cli("verify", out)[0] == 0
