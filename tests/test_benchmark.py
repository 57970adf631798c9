"""``unseg benchmark``: what it measures, and the page that is made of a stored run."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from noise_stub import WaveSource, noises
from unseg.masks.sources.whole import WholeImage
from unseg.protect import benchmark as bench
from unseg.protect import limits
from unseg.protect.drawn import figure, photograph
from unseg.protect.timings import measured, stage
from unseg.report.performance import performance_page

Cli = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).resolve().parents[1]
STORED = ROOT / "docs" / "performance.json"


@pytest.fixture
def small(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command with little to measure."""
    monkeypatch.setattr(limits, "_GEMM", 32)
    monkeypatch.setattr(limits, "_COPY_BYTES", 1 << 16)
    known = {"seconds": limits.figures([0.5, 0.6]), "flops": 10**9}
    monkeypatch.setattr(limits, "network", lambda models, repeats: known)
    monkeypatch.setattr(limits, "reference", lambda device, repeats: known)
    some = [{"batch": 2, "half": True, "same_sign": 0.99, "seconds": known["seconds"]}]
    monkeypatch.setattr(limits, "batches", lambda models, sizes, repeats: some)
    monkeypatch.setattr(bench, "load_noises", lambda names, models: noises(WaveSource()))
    monkeypatch.setattr(bench, "load_sources", lambda names, models: [WholeImage()])
    monkeypatch.setattr(bench, "_started", lambda folder, device: 2.5)
    monkeypatch.setattr(bench, "_LONG", (64, 48))
    monkeypatch.setattr(bench, "_NOTED", 2)
    return cli


def test_a_run_is_stored_and_shown(small: Cli, tmp_path: Path) -> None:
    stored, page = tmp_path / "run.json", tmp_path / "run.md"
    line = (
        "benchmark",
        "--repeats",
        "2",
        "--sizes",
        "64x48,96x64",
        "--device",
        "cpu",
        "--row",
        "2",
    )
    line = (*line, "--long", "4", "--batches", "1,2")
    code, _, err = small(*line, "-o", stored, "--markdown", page)
    assert code == 0, err
    run = json.loads(stored.read_text())
    assert [(case["format"], case["masks"]) for case in run["cases"]] == [
        *[("png", "given"), ("jpeg", "given"), ("webp", "given")] * 2,
        *[("png", "salient"), ("png", "proposed")] * 2,
    ]  # fmt: skip
    assert [note["images"] for note in run["long"]["notes"]] == [2, 4]
    assert all(note["memory_mb"] is None or note["memory_mb"] > 50 for note in run["long"]["notes"])
    for case in run["cases"]:
        for name in ("alone_wall", "row_wall", "alone_cpu", "row_cpu"):
            assert 0 < case[name]["low"] <= case[name]["median"] <= case[name]["high"]
        assert {"decode", "find", "noise", "compose", "encode", "read back", "measure"} <= (
            case["stages"].keys()
        )
        spent = sum(one["wall"]["median"] for one in case["stages"].values())
        assert spent < 1.5 * case["alone_wall"]["high"] and case["bytes"] > 1000
    assert run["limits"]["gemm_gflops"]["median"] > 0 and run["limits"]["copy_gb_per_s"]["low"] > 0
    text = page.read_text()
    assert "## Where the time goes" in text and "| 96 x 64, webp |" in text
    again = tmp_path / "again.md"
    noted = small("benchmark", "--from", stored, "--markdown", again, "--note", "It rained.")
    assert noted[0] == 0 and "*It rained.*" in again.read_text()
    tables = [[row for row in one.read_text().splitlines() if row[:1] == "|"]
              for one in (page, again)]  # fmt: skip
    assert tables[0] == tables[1]


def test_batches_are_numbers(small: Cli) -> None:
    code, _, err = small("benchmark", "--batches", "1,x")
    assert code == 2 and "expected numbers of images" in " ".join(err.split())


@pytest.mark.parametrize("sizes", ["12", "4000", "0x0", "axb"])
def test_sizes_are_widths_and_heights(small: Cli, sizes: str) -> None:
    code, _, err = small("benchmark", "--sizes", sizes)
    assert code == 2 and "expected widths and heights" in " ".join(err.split())


def test_a_stored_run_that_is_none_is_refused(small: Cli, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("[]")
    code, _, err = small("benchmark", "--from", tmp_path / "x.json")
    assert code == 2 and "expected a file that unseg benchmark -o wrote" in " ".join(err.split())


def test_stages_of_all_threads_are_added_up_and_nothing_is_kept_outside() -> None:
    def work() -> None:
        with stage("sleep"):
            time.sleep(0.02)

    work()
    with measured() as timings:
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    work()
    assert timings.count == {"sleep": 3}
    assert timings.wall["sleep"] >= 0.06 and timings.cpu["sleep"] < timings.wall["sleep"]


def test_protect_shows_the_stages_when_asked(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(photograph(64, 48)).save(tmp_path / "in" / "a.png")
    code, text, _ = cli("protect", tmp_path / "in", "-o", tmp_path / "a", "--timings")
    assert code == 0 and " s encode" in text
    code, text, _ = cli("protect", tmp_path / "in", "-o", tmp_path / "b", "--timings", "--json")
    assert code == 0 and json.loads(text)["timings"]["noise"] >= 0


def test_the_drawn_photograph_is_like_one() -> None:
    """Neighbours are alike, and all of the range is used: else codecs would be misjudged."""
    pixels = photograph(320, 240)
    assert np.array_equal(pixels, photograph(320, 240)) and pixels.shape == (240, 320, 3)
    grey = pixels.mean(axis=2)
    near = np.corrcoef(grey[:, 1:].ravel(), grey[:, :-1].ravel())[0, 1]
    assert 0.8 < near < 0.999 and 25 < grey.std() < 90


def test_somebody_stands_out_in_the_drawn_photograph() -> None:
    """Else "found" would measure what is asked where nothing is found."""
    from unseg.models.loaded import Models
    from unseg.models.salience import salient_mask

    models = Models(device="cpu")
    pixels, mask = figure(512, 384)
    assert models.salience_head is not None
    image = torch.from_numpy(pixels).permute(2, 0, 1).float()
    found = salient_mask(models.base, models.salience_head, image)[0].numpy()
    assert (found & mask).sum() / (found | mask).sum() > 0.8


def test_the_first_image_is_timed_in_a_process_of_its_own(tmp_path: Path) -> None:
    assert 0.5 < bench._started(tmp_path, "cpu") < 300
    assert not (tmp_path / "started").exists()


def test_batches_and_bfloat16_make_nearly_the_same_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a GPU is given, on the processor: the largest batch last, and float32 set back."""
    from unseg.models.generator import HeadConfig, NoiseGenerator
    from unseg.models.loaded import Models
    from unseg.models.registry import load_shipped_base

    monkeypatch.setattr(limits, "figure", lambda width, height: figure(96, 72))
    torch.manual_seed(0)
    head = HeadConfig(textures=(12.0, 18.0), codebook=(8.0, 12.0))
    models: Any = Models(device="cpu")
    models.__dict__["generator"] = NoiseGenerator(load_shipped_base(128), head).eval()
    single, half = limits.batches(models, [2], 2)
    assert (single["batch"], single["half"], half["half"]) == (2, False, True)
    assert single["same_sign"] > 0.999 and 0.8 < half["same_sign"] <= 1
    assert single["seconds"]["median"] > 0 and not models.generator.encodes_in_half


def test_the_network_is_counted() -> None:
    """A product of matrices has two operations for each of its terms."""
    from unseg.models.loaded import Models

    class Generator:
        def noise(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return torch.ones(8, 16) @ torch.ones(16, 4)

    models: Any = Models(device="cpu")
    models.__dict__["generator"] = Generator()
    assert limits.network(models, 2)["flops"] == 2 * 8 * 16 * 4


@pytest.mark.skipif(not STORED.exists(), reason="no run is stored")
def test_the_page_is_the_stored_runs() -> None:
    run, runtimes = json.loads(STORED.read_text()), ROOT / "docs" / "runtimes.json"
    long = f" --long {run['long']['images']}" if run["long"] else ""
    page = performance_page(
        run,
        "unseg benchmark -o docs/performance.json --markdown docs/performance.md"
        f"{long} --runtimes docs/runtimes.json",
        json.loads(runtimes.read_text()),
    )
    assert (ROOT / "docs" / "performance.md").read_text() == page
