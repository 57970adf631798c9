"""scripts/gpu.sh, tried out on the CPU with the smallest suite."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from unseg.evaluate.results import ResultStore

ROOT = Path(__file__).resolve().parents[1]


def gpu(tmp_path: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    places = {"DATA": tmp_path / "none", "OUT": tmp_path / "results", "CACHE": tmp_path / "cache"}
    environment = {
        **os.environ,
        "SUITE": "smoke",
        "DEVICE": "cpu",
        "UNSEG": f"{sys.executable} -m unseg",
        **{name: str(place) for name, place in places.items()},
        **settings,
    }
    return subprocess.run(
        ["bash", ROOT / "scripts" / "gpu.sh"], env=environment, capture_output=True, text=True,
        timeout=280, cwd=tmp_path,
    )  # fmt: skip


def test_runs_side_by_side_are_stored_with_their_device(tmp_path: Path) -> None:
    only = "--task medical --victim unet --condition clean,unseg --defence none"
    found = gpu(tmp_path, ONLY=only, JOBS="2")
    assert found.returncode == 0, found.stderr
    results = ResultStore(tmp_path / "results").all()
    assert {result.named("condition") for result in results} == {"clean", "unseg"}
    for result in results:
        assert result.provenance["device"] == "cpu" and result.provenance["autocast"] == "no"
    # Every protected image was made once, by whichever process.
    [folder] = (tmp_path / "cache").iterdir()
    assert folder.name.startswith("medical-")
    # The same line again finds what is there.
    again = gpu(tmp_path, ONLY=only, JOBS="2")
    assert again.returncode == 0 and again.stderr.count("already there") == 2


def test_the_time_ends_everything_and_what_is_stored_stays(tmp_path: Path) -> None:
    only = "--task medical --victim unet --condition clean"
    assert gpu(tmp_path, ONLY=only, JOBS="1").returncode == 0
    # Long before any of the other runs could end.
    found = gpu(tmp_path, MINUTES="0.03", JOBS="2")
    assert "stopped after 0.03 min" in found.stderr
    assert found.returncode == 0, found.stderr
    assert "medical" in found.stdout
    assert len(ResultStore(tmp_path / "results").all()) == 1


def test_a_gpus_speed_is_measured_with_the_smallest_settings(tmp_path: Path) -> None:
    environment = {
        **os.environ, "DEVICE": "cpu", "UNSEG": f"{sys.executable} -m unseg",
        "OUT": str(tmp_path / "speed"), "BATCHES": "1", "SIZES": "64x48", "REPEATS": "2",
        "LONG": "2", "MINUTES": "4", "EXTRA": "--masks-only --no-reference --row 1",
    }  # fmt: skip
    script = ROOT / "scripts" / "gpu_speed.sh"

    def run(**settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", script], env={**environment, **settings}, capture_output=True, text=True,
            timeout=280, cwd=tmp_path,
        )  # fmt: skip

    stopped = run(MINUTES="0.01")
    assert stopped.returncode == 124 and "stopped after 0.01 min" in stopped.stderr
    assert not (tmp_path / "speed.json").exists()
    found = run()
    assert found.returncode == 0, found.stderr
    stored = json.loads((tmp_path / "speed.json").read_text())
    assert [one["half"] for one in stored["batches"]] == [False, True]
    assert "images at once" in (tmp_path / "speed.md").read_text()
