"""Every command of the suite ``paper`` on tiny data in the same layout, with tiny checkpoints.

The suite's own declaration is run, with the settings of :data:`TINY` in place of full size.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    ConvNextConfig,
    ConvNextForImageClassification,
    MobileNetV2Config,
    MobileNetV2ForImageClassification,
    ResNetConfig,
    ResNetForImageClassification,
    SegformerConfig,
    SegformerForImageClassification,
    SegformerForSemanticSegmentation,
    SwinConfig,
    SwinForImageClassification,
    UperNetForSemanticSegmentation,
)

import layouts
from unseg.datasets.samples import LazySamples, Split
from unseg.errors import UnsegError
from unseg.evaluate.bench import Bench
from unseg.evaluate.conditions import CONDITIONS
from unseg.evaluate.defences import DEFENCES
from unseg.evaluate.protocol import Run, run
from unseg.evaluate.suites import SUITES, Grid, Recipe, Suite
from unseg.evaluate.tasks import TASKS
from unseg.evaluate.victims import VICTIMS
from unseg.evaluate.victims.checkpoint import Around, find_checkpoint, from_local, identity

PAPER = SUITES["paper"]

SMALL = {"size": 64, "steps": 1, "batch_size": 2}
TINY = {
    "deeplabv3": {**SMALL, "crop": 64},
    "segformer": {**SMALL, "crop": 64},
    "upernet": {**SMALL, "crop": 64, "decoder": 16},
    "mask2former": {**SMALL, "queries": 5, "width": 32, "encoder": 1, "decoder": 1, "points": 64},
    "rtdetr": {**SMALL, "queries": 5, "width": 32, "decoder": 1, "denoising": 4},
    "unet": {**SMALL, "crop": 64, "width": 4},
    "unetpp": {**SMALL, "crop": 64, "width": 4},
    "sam_hq": SMALL,
    "ritm": {**SMALL, "pretrained": False},
    "rsprompter": {**SMALL, "looks": 2, "masks": 4},
}
SHOWN = ("clean", "random")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return layouts.everything(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of the names that the suite has, of random models."""
    root = tmp_path_factory.mktemp("checkpoints")
    torch.manual_seed(0)
    four = {"depths": [1] * 4, "hidden_sizes": [8, 8, 16, 16]}
    swin = SwinConfig(embed_dim=8, depths=[1] * 4, num_heads=[1, 2, 2, 2], window_size=4)
    for name, model in (
        ("mobilenet_v2_1.0_224", MobileNetV2ForImageClassification(
            MobileNetV2Config(depth_multiplier=0.35, num_labels=3))),
        ("mit-b2", SegformerForImageClassification(
            SegformerConfig(**four, num_attention_heads=[1, 1, 2, 2], decoder_hidden_size=16))),
        ("convnext-tiny-224", ConvNextForImageClassification(ConvNextConfig(**four))),
        ("swin-tiny-patch4-window7-224", SwinForImageClassification(swin)),
        ("resnet-50", ResNetForImageClassification(
            ResNetConfig(embedding_size=8, layer_type="basic", **four))),
    ):  # fmt: skip
        model.save_pretrained(root / name)
    return root


def tiny(plan: Suite) -> Suite:
    """The same declaration with small settings; one that TINY lacks is an error here."""

    def shrunk(victim: str | Recipe) -> Recipe:
        recipe = Recipe(victim) if isinstance(victim, str) else victim
        return Recipe.of(recipe.name, **dict(recipe.settings) | TINY[recipe.name])

    grids = [replace(grid, victims=[shrunk(v) for v in grid.victims]) for grid in plan.grids]
    return replace(plan, grids=grids)


@pytest.fixture
def paper(
    cli: Callable[..., tuple[int, str, str]], checkpoints: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Runs ``unseg evaluate --suite paper``, small."""
    monkeypatch.setenv("UNSEG_CHECKPOINTS", str(checkpoints))
    monkeypatch.setitem(SUITES, "paper", tiny(PAPER))
    return lambda *words: cli("evaluate", "--suite", "paper", *words)


def test_the_suite_covers_the_paper() -> None:
    cells = PAPER.cells()
    tasks = {cell.task for cell in cells}
    assert tasks == {
        "voc", "ade20k", "cityscapes", "cityscapes-instance", "cityscapes-panoptic",
        "coco-instance", "coco-panoptic", "coco-detection", "dis", "coift", "hrsod", "thinobject",
        "whu", "nwpu", "ssdd", "kvasir",
    }  # fmt: skip
    for cell in cells:
        kind = TASKS.build(cell.task).problem.kind
        # Settings that a victim does not know would end here.
        known = {k: v for k, v in cell.victim.settings if k != "checkpoint"}
        assert kind in VICTIMS.build(cell.victim.name, **known).kinds
        assert cell.defence in DEFENCES
    for task in tasks:
        assert {c.condition for c in cells if c.task == task} >= {
            "clean",
            "random",
            "pattern",
            "unseg",
        }


@pytest.mark.parametrize("task", sorted({cell.task for cell in PAPER.cells()}))
def test_every_command_of_the_suite_runs(
    task: str, data: Path, tmp_path: Path, paper: Callable[..., tuple[int, str, str]]
) -> None:
    out, cache = tmp_path / "results", tmp_path / "cache"
    code, table, log = paper(
        "--task", task, "--condition", ",".join(SHOWN),
        "--defence", "none", "--data", data, "-o", out, "--cache", cache,
        "--device", "cpu",
    )  # fmt: skip
    assert code == 0, log
    assert "skipped" not in log and "| training images |" in table
    found = [json.loads(path.read_text()) for path in out.glob("*.json")]
    victims = {cell.victim for cell in PAPER.cells() if cell.task == task}
    assert len(found) == len(victims) * len(SHOWN)
    metric = TASKS.build(task).metric
    for result in found:
        assert result["metric"] == metric and 0 <= result["value"] <= 1
        assert np.isfinite(result["losses"]).all()
        budget = 4 if task == "kvasir" else 8
        noisy = result["config"]["condition"]["name"] == "random"
        assert result["change"]["inside"] == (budget if noisy else 0)
        # Results say which checkpoint it was, not where it lies.
        named = result["config"]["victim"].get("checkpoint", "@")
        assert "/" not in named and "@" in named
    # Protected images are kept on disk, one file each, for all victims of the task.
    [folder] = cache.iterdir()
    assert folder.name.startswith(f"{task}-")
    assert len(list(folder.glob("*.npz"))) == len(TASKS.build(task).load(root_of(task, data)).train)
    assert not list(folder.glob("*.tmp"))


def test_mixed_and_defended_training_sets_run_from_disk(
    data: Path, tmp_path: Path, paper: Callable[..., tuple[int, str, str]]
) -> None:
    """With the generator that ships: a share of the images protected, and what a trainer may do."""
    cells = [cell for cell in PAPER.cells() if cell.task == "voc"]
    mixed = [cell.condition for cell in cells if "@" in cell.condition]
    defended = {cell.defence for cell in cells} - {"none"}
    assert len(mixed) == 5 and defended >= {"blur", "noise", "jpeg75", "adversarial"}
    place = (
        "--data",
        data,
        "--device",
        "cpu",
        "--cache",
        tmp_path / "cache",
        "-o",
        tmp_path / "results",
    )
    for words in (
        ("--condition", mixed[1], "--defence", "none"),
        ("--condition", "unseg", "--defence", ",".join(defended)),
    ):
        code, _, log = paper("--task", "voc", "--victim", "deeplabv3", *words, *place)
        assert code == 0 and "skipped" not in log, log
    found = [json.loads(path.read_text()) for path in (tmp_path / "results").glob("*.json")]
    assert {one["config"]["defence"]["label"] for one in found} == {"none", *defended}
    # One folder a published set: of two images in four, and of all.
    kept = {len(list(folder.glob("*.npz"))) for folder in (tmp_path / "cache").iterdir()}
    assert kept == {4} and len(list((tmp_path / "cache").iterdir())) == 2
    share = next(one for one in found if "@" in one["config"]["condition"]["name"])
    whole = next(one for one in found if "@" not in one["config"]["condition"]["name"])
    assert 0 < share["change"]["mean"] < 0.8 * whole["change"]["mean"]


def root_of(task: str, data: Path) -> Path:
    return data / TASKS.build(task).folder


def test_what_is_not_there_is_skipped_with_a_reason(
    data: Path,
    tmp_path: Path,
    paper: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("UNSEG_CHECKPOINTS", str(tmp_path / "none"))
    (tmp_path / "WHU").mkdir()
    code, preview, log = paper(
        "--task", "whu,kvasir", "--condition", "clean",
        "--data", data, "-o", tmp_path / "out", "--dry-run",
    )  # fmt: skip
    assert code == 0, log
    assert "whu, mask2former, clean, none, seed 0: cannot run: checkpoint swin-tiny" in preview
    assert "kvasir, unet, clean, none, seed 0: about 24.0 h" in preview
    code, _, log = paper(
        "--task", "whu", "--condition", "clean",
        "--data", tmp_path, "-o", tmp_path / "out",
    )  # fmt: skip
    assert code == 2 and "nothing ran" in log and "the WHU set's layout" in log


def test_training_from_disk_is_training_from_memory(data: Path, tmp_path: Path) -> None:
    class Held(TASKS.load("voc")):  # type: ignore[misc]
        """The same set in memory."""

        def load(self, root: Path, part: str = "test") -> Split:
            found = super().load(root, part)
            return Split(tuple(found.train), tuple(found.test), found.sha256)

    victim = {**TINY["unet"], "steps": 5}
    results = []
    for task in (TASKS.build("voc"), Held()):
        bench = Bench(task, root_of("voc", data), cache=tmp_path)
        assert isinstance(bench.split.train, LazySamples) == (not isinstance(task, Held))
        for _ in range(2):  # The second time, protected images come from the cache.
            bench.last = None
            jpeg, noise = DEFENCES.build("jpeg75"), CONDITIONS.build("pattern")
            unet = VICTIMS.build("unet", **victim)
            results.append(run(Run.of(bench, unet, noise, jpeg, 3)))
    assert len(list(tmp_path.glob("voc-*/*.npz"))) == 4
    first = results[0]
    assert first.change["inside"] == 8 and first.change["outside"] == 2
    for other in results[1:]:
        assert (other.losses, other.scores, other.change) == (
            first.losses, first.scores, first.change,
        )  # fmt: skip


def test_two_processes_train_together_and_one_speaks(
    data: Path, checkpoints: Path, tmp_path: Path
) -> None:
    """The command of docs/reproduce.md, with CPU processes and half precision."""
    settings = [
        word
        for name, value in {**TINY["segformer"], "steps": 2, "checkpoint": "mit-b2"}.items()
        for word in ("--victim-set", f"{name}={value}")
    ]
    done = subprocess.run(
        [
            sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes",
            "2", "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no",
            "--main_process_port", "0", "-m", "unseg", "evaluate", "--task", "voc", "--victim",
            "segformer", *settings, "--condition", "clean,random", "--seed", "0", "--data",
            data / "VOCdevkit/VOC2012", "-o", tmp_path / "results", "--cache", tmp_path / "cache",
            "--device", "cpu", "--mixed-precision", "bf16",
        ],
        capture_output=True, text=True, timeout=300,
        env={**os.environ, "UNSEG_CHECKPOINTS": str(checkpoints), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("| training images |") == 1
    assert done.stderr.count("1/2 voc, segformer") == 1
    files = list((tmp_path / "results").glob("*.json"))
    assert len(files) == 2
    assert len(list((tmp_path / "cache").glob("voc-*/*.npz"))) == 4
    noisy = next(json.loads(f.read_text()) for f in files if "-random-" in f.name)
    assert noisy["config"]["launch"] == {"processes": 2, "mixed_precision": "bf16"}
    # The largest change is over the images of both processes.
    assert (
        noisy["change"]["inside"] == 8 and noisy["config"]["victim"]["checkpoint"][:7] == "mit-b2@"
    )


def test_a_checkpoint_is_where_training_starts(checkpoints: Path) -> None:
    source = SegformerForImageClassification.from_pretrained(checkpoints / "mit-b2")
    network = from_local(SegformerForSemanticSegmentation, str(checkpoints / "mit-b2"), 7)
    started = network.segformer.state_dict()
    for name, value in source.segformer.state_dict().items():
        assert torch.equal(started[name], value), name
    assert network.config.num_labels == 7 and network.training

    # The same architecture with another classifier: all but that one is kept.
    folder = checkpoints / "segmenter"
    network.save_pretrained(folder)
    again = from_local(SegformerForSemanticSegmentation, str(folder), 4)
    assert again.decode_head.classifier.weight.shape[0] == 4
    fused = "decode_head.linear_fuse.weight"
    assert torch.equal(again.state_dict()[fused], network.state_dict()[fused])

    around = Around("backbone", settings={"hidden_size": 16, "use_auxiliary_head": False})
    source = ResNetForImageClassification.from_pretrained(checkpoints / "resnet-50")
    built = from_local(
        UperNetForSemanticSegmentation, str(checkpoints / "resnet-50"), 5, around=around
    )
    body = built.backbone.state_dict()
    for name, value in source.resnet.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(body[name], value), name
    # Its batch norms stay as they were while it trains.
    built.train()(torch.randn(2, 3, 64, 64))
    assert all(torch.equal(body[k], v) for k, v in built.backbone.state_dict().items())


def test_wrong_checkpoints_are_named(
    checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNSEG_CHECKPOINTS", str(tmp_path))
    with pytest.raises(UnsegError, match=r"checkpoint resnet-50: neither it nor .*UNSEG_CHECKPO"):
        find_checkpoint("resnet-50")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(UnsegError, match=r"no config\.json and no model\.safetensors but pytorch_"):
        find_checkpoint("old")
    with pytest.raises(UnsegError, match=r"resnet-50 is a resnet: expected a segformer"):
        from_local(SegformerForSemanticSegmentation, str(checkpoints / "resnet-50"), 4)
    (tmp_path / "old" / "config.json").write_text("{}")
    (tmp_path / "old" / "model.safetensors").write_bytes(b"not tensors")
    before = identity("old")
    assert before.startswith("old@") and len(before) == 20
    with pytest.raises(UnsegError, match=r"old is a None: expected a segformer"):
        from_local(SegformerForSemanticSegmentation, "old", 4)
    (tmp_path / "old" / "config.json").write_text('{"model_type": "segformer"}')
    with pytest.raises(UnsegError, match=r"old does not fit SegformerForSemanticSegmentation"):
        from_local(SegformerForSemanticSegmentation, "old", 4)


def test_damaged_cached_images_are_named(data: Path, tmp_path: Path) -> None:
    bench = Bench(TASKS.build("kvasir"), root_of("kvasir", data), cache=tmp_path)
    published = bench.publish(CONDITIONS.build("random"), 0, {"name": "random"})
    again = [published[i].image for i in range(len(published))]
    [folder] = tmp_path.iterdir()
    assert np.array_equal(again[1], published[1].image)
    (folder / "0000001.npz").write_bytes(b"cut off")
    with pytest.raises(UnsegError, match=r"0000001\.npz cannot be read .*: delete it"):
        published[1]


def test_grids_are_readable() -> None:
    assert all(isinstance(grid, Grid) and grid.about for grid in PAPER.grids)
