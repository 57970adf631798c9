"""Nothing is lost, whatever happens: killed runs, full disks, bad storage, files that hang.

After each: the originals are as they were, no file under a final name is a part of one, and a
resumed run has the files of one that was never interrupted.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from noise_stub import photo
from unseg.protect.manifest import MANIFEST, RUN

Cli = Callable[..., tuple[int, str, str]]
TESTS = Path(__file__).parent
#: Seeds of the runs that are killed; each says at which storage call, or when.
KILLS = range(20)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, signals and limits")


Perform = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def perform() -> Iterator[Perform]:
    """Run commands in processes of their own; see faults.py. They import the package once."""
    server = subprocess.Popen(
        [sys.executable, str(TESTS / "faults.py")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=TESTS,
    )  # fmt: skip
    assert server.stdin is not None and server.stdout is not None

    def run(*runs: dict[str, Any]) -> list[dict[str, Any]]:
        assert server.stdin is not None and server.stdout is not None
        server.stdin.write(json.dumps(runs, default=str) + "\n")
        server.stdin.flush()
        return list(json.loads(server.stdout.readline()))

    with server:
        yield run
        server.stdin.close()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Eight small images in two folders, with masks beside them."""
    for i in range(8):
        path = tmp_path / "photos" / f"{i % 2}" / f"{i}.png"
        mask = tmp_path / "masks" / f"{i % 2}" / f"{i}.png"
        for one in (path, mask):
            one.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo(24, 24, seed=i)).save(path)
        Image.fromarray(photo(24, 24, seed=i)[..., 0] > 140).save(mask)
    return tmp_path / "photos"


def tree(folder: Path) -> dict[str, bytes]:
    """All files of a folder."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def results(out: Path) -> dict[str, Any]:
    """All that a run wrote; of records all but the seconds, of the run's file only its state."""
    found: dict[str, Any] = tree(out)
    lines = found.pop(MANIFEST).decode().splitlines()
    found["records"] = [{**json.loads(line), "seconds": 0} for line in lines]
    found["status"] = json.loads(found.pop(RUN))["status"]
    return found


def whole_files(out: Path, expected: dict[str, Any]) -> int:
    """Check that images and masks that are there are whole; returns how many there are."""
    there = {
        name: data for name, data in tree(out).items()
        if name.endswith(".png") and not name.rpartition("/")[2].startswith(".")
    }  # fmt: skip
    assert there == {name: expected[name] for name in there}
    return len(there)


@contextmanager
def untouched(*folders: Path) -> Iterator[None]:
    """Originals are as they were."""
    before = [tree(folder) for folder in folders]
    yield
    assert [tree(folder) for folder in folders] == before


@pytest.fixture
def command(photos: Path, tmp_path: Path) -> list[str]:
    return ["protect", str(photos), "--masks", str(tmp_path / "masks"), "-o"]


@pytest.fixture
def expected(cli: Cli, command: list[str], tmp_path: Path) -> dict[str, Any]:
    """What an uninterrupted run writes."""
    code, _, err = cli(*command, tmp_path / "whole")
    assert code == 0, err
    return results(tmp_path / "whole")


def test_kill_9_at_twenty_random_points_loses_nothing(
    cli: Cli,
    perform: Perform,
    photos: Path,
    command: list[str],
    expected: dict[str, Any],
    tmp_path: Path,
) -> None:
    runs = []
    for seed in KILLS:
        chance = random.Random(seed)
        out = tmp_path / f"out{seed}"
        run = {"arguments": [*command, out], "root": out, "seed": seed}
        if seed % 4 == 3:  # at some time, wherever it is
            run |= {"kill_after": chance.uniform(0.05, 0.8), "slow": 0.1}
        else:
            run["kill_at"] = chance.randint(1, 120)
        runs.append(run)
    with untouched(photos, tmp_path / "masks"):
        killed = perform(*runs)
        assert {one["code"] for one in killed} <= {-9, 0}
        assert sum(one["code"] == -9 for one in killed) >= 15
        parts = [whole_files(tmp_path / f"out{seed}", expected) for seed in KILLS]
        assert len(set(parts)) > 3  # they were killed at different points
        for seed in KILLS:
            out = tmp_path / f"out{seed}"
            code, _, err = cli(*command, out, "--resume")
            assert code == 0, (seed, err)
            assert results(out) == expected, seed
            assert cli("verify", out, "--originals", photos)[0] == 0


def test_one_folder_killed_again_and_again_is_done_at_last(
    cli: Cli,
    perform: Perform,
    photos: Path,
    command: list[str],
    expected: dict[str, Any],
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    runs = [
        {"arguments": [*command, out, "--resume"], "root": out, "kill_at": at}
        for at in range(30, 90, 6)
    ]
    with untouched(photos):
        assert [one["code"] for one in perform(*runs)][:3] == [-9, -9, -9]
        whole_files(out, expected)
        assert cli(*command, out, "--resume")[0] == 0
    assert results(out) == expected


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"fail": "ENOSPC", "from": 60}, "No space left on device"),
        ({"fail": "ENOSPC", "from": 1}, "No space left on device"),
        ({"fail": "EROFS", "from": 1}, "Read-only file system"),
        ({"fail": "EDQUOT", "from": 75}, "Disk quota exceeded"),
    ],
)
def test_a_disk_that_takes_no_more_is_named_and_nothing_is_lost(
    cli: Cli, perform: Perform, photos: Path, command: list[str], expected: dict[str, Any],
    tmp_path: Path,
    fault: dict[str, Any], said: str,
) -> None:  # fmt: skip
    out = tmp_path / "out"
    with untouched(photos):
        [done] = perform({"arguments": [*command, out], "root": out, **fault})
        assert done["code"] in (1, 2)
        assert f"cannot be written ({said})" in " ".join(done["text"].split())
        assert "Traceback" not in done["text"]
        whole_files(out, expected)
        assert cli(*command, out, "--resume")[0] == 0
    assert results(out) == expected


def test_a_full_disk_of_one_megabyte(
    cli: Cli, tmp_path: Path, photos: Path, command: list[str], expected: dict[str, Any]
) -> None:
    """A real one: what fits is whole, the rest is named."""
    out = tmp_path / "small"
    out.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(out)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a file system is not allowed here")
    try:
        blank = out / "ballast"
        with blank.open("wb") as stream:
            stream.write(bytes((1 << 20) - (48 << 10)))
        with untouched(photos):
            code, _, err = cli(*command, out)
            assert code in (1, 2) and "No space left on device" in " ".join(err.split())
            assert whole_files(out, expected) < 16
            blank.unlink()
            assert cli(*command, out, "--resume")[0] == 0
        assert results(out) == expected
    finally:
        subprocess.run(["umount", str(out)], check=True)


def test_storage_that_fails_one_call_in_ten(
    cli: Cli,
    perform: Perform,
    photos: Path,
    command: list[str],
    expected: dict[str, Any],
    tmp_path: Path,
) -> None:
    outs = [tmp_path / f"out{seed}" for seed in range(6)]
    with untouched(photos):
        first = perform(*(
            {"arguments": [*command, out, "--resume"], "root": out, "fail": "EIO", "share": 0.1,
             "seed": seed}
            for seed, out in enumerate(outs)
        ))  # fmt: skip
        assert not any("Traceback" in one["text"] for one in first)
        # A file is tried five times, each of which fails about every second time here: a run of 16
        # files ends well with a chance of two in three, none of six with one in a thousand.
        assert any(one["code"] == 0 for one in first), [one["text"] for one in first]
        for out in outs:
            whole_files(out, expected)
            assert cli(*command, out, "--resume")[0] == 0
            assert results(out) == expected


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_ctrl_c_finishes_the_image_in_hand(
    cli: Cli,
    perform: Perform,
    photos: Path,
    command: list[str],
    expected: dict[str, Any],
    tmp_path: Path,
    name: str,
) -> None:
    out = tmp_path / "out"
    with untouched(photos):
        [done] = perform(
            {"arguments": [*command, out], "root": out, "interrupt_at": 60, "signal": name}
        )
        assert done["code"] == {"SIGINT": 130, "SIGTERM": 143}[name], done["text"]
        records = (out / MANIFEST).read_text().splitlines()
        # What was begun has its record, and nothing else was begun.
        assert whole_files(out, expected) == 2 * len(records) and 0 < len(records) < 8
        assert json.loads((out / RUN).read_text())["status"] == "interrupted"
        assert not list(out.glob(".unseg-*"))
        if name == "SIGINT":
            text = " ".join(done["text"].split())
            assert f"stopped with {len(records)} of 8 images done: --resume goes on" in text
        code, text, _ = cli(*command, out, "--resume", "--json")
        assert code == 0
        assert json.loads(text)["totals"]["kept_from_earlier_run"] == len(records)
    assert results(out) == expected


def test_killed_and_stopped_masks_are_whole_and_resumed(
    cli: Cli, perform: Perform, photos: Path, tmp_path: Path
) -> None:
    assert cli("masks", photos, "-o", tmp_path / "whole")[0] == 0
    expected = tree(tmp_path / "whole")
    outs = [tmp_path / f"drawn{i}" for i in range(4)]
    faults: list[dict[str, Any]] = [{"kill_at": 17}, {"kill_at": 30}, {"interrupt_at": 20},
                                    {"fail": "ENOSPC", "from": 25}]  # fmt: skip
    with untouched(photos):
        done = perform(*(
            {"arguments": ["masks", photos, "-o", out], "root": out, **fault}
            for out, fault in zip(outs, faults, strict=True)
        ))  # fmt: skip
        assert [one["code"] for one in done] == [-9, -9, 130, 1]
        for out in outs:
            assert 0 < whole_files(out, expected) < 8
            assert cli("masks", photos, "-o", out, "--resume")[0] == 0
            assert tree(out) == expected


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """A data set of images and label maps, with a file that is neither."""
    for i in range(6):
        for part in ("images", "labels"):
            (tmp_path / "set" / part).mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo(24, 24, seed=i)).save(tmp_path / f"set/images/{i}.png")
        mask = (photo(24, 24, seed=i)[..., 0] > 140).astype(np.uint8)
        Image.fromarray(mask).save(tmp_path / f"set/labels/{i}.png")
    (tmp_path / "set" / "readme.txt").write_text("six images")
    return tmp_path / "set"


def test_killed_and_stopped_data_sets_are_whole_and_resumed(
    cli: Cli, perform: Perform, pairs: Path, tmp_path: Path
) -> None:
    line = ["dataset", str(pairs), "--layout", "pairs", "--splits", "all", "-o"]
    code, _, err = cli(*line, tmp_path / "whole")
    assert code == 0, err
    expected = results(tmp_path / "whole")
    outs = [tmp_path / f"set{i}" for i in range(5)]
    faults: list[dict[str, Any]] = [{"kill_at": at} for at in (20, 60, 95)]
    faults += [{"interrupt_at": 80}, {"fail": "ENOSPC", "from": 90}]
    with untouched(pairs):
        done = perform(*(
            {"arguments": [*line, out], "root": out, **fault}
            for out, fault in zip(outs, faults, strict=True)
        ))  # fmt: skip
        assert [one["code"] for one in done[:4]] == [-9, -9, -9, 130]
        assert done[4]["code"] in (1, 2)
        for out in outs:
            whole_files(out, expected)
            assert cli(*line, out, "--resume")[0] == 0
            assert results(out) == expected
            assert cli("verify", out, "--originals", pairs)[0] == 0


def test_a_process_with_little_memory_refuses_what_is_too_large_for_it(
    cli: Cli, perform: Perform, photos: Path, command: list[str], expected: dict[str, Any],
    tmp_path: Path,
) -> None:  # fmt: skip
    """A real limit: 500 MB beyond what the process has when it begins."""
    (tmp_path / "huge").mkdir()
    Image.fromarray(np.zeros((4000, 5000), np.uint8)).save(tmp_path / "huge" / "huge.png")
    out = tmp_path / "out"
    line = ["protect", str(tmp_path / "huge"), *command[1:], str(out)]
    with untouched(photos, tmp_path / "huge"):
        [done] = perform({"arguments": line, "root": out, "memory": 500 << 20})
    text = " ".join(done["text"].split())
    assert done["code"] == 1, text
    assert "huge.png has 20 megapixels and needs" in text and "GiB are left" in text
    assert whole_files(out, expected) == 16 and not (out / "huge.png").exists()
