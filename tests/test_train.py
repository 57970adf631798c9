"""Training: the losses, the prompts, the corpus, the cache and the bilevel loop."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from unseg.errors import UnsegError
from unseg.models.generator import HeadConfig, NoiseGenerator, flatten_contrast
from unseg.models.prompts import MASK_LOGIT, Prompts, mask_prompt
from unseg.models.registry import load_generator, read_metadata, write_generator
from unseg.models.sam.base import SamBase, architecture
from unseg.models.surrogate import Surrogate
from unseg.models.textures import Codebook
from unseg.train.augment import DEGRADATIONS, Jitter, apply_jitter
from unseg.train.bilevel import Trainer
from unseg.train.cache import FeatureCache
from unseg.train.config import TrainConfig, preset
from unseg.train.corpus import draw_mask, load, scan, split
from unseg.train.losses import mask_loss, uncertain_points
from unseg.train.monitor import collapsed, noise_statistics
from unseg.train.prompts import boxes_of, draw_prompts, perturb_boundary, points_of, random_subset

SIZE = 64
TINY = replace(
    preset("cpu"), generator_size=SIZE, surrogate_size=64, surrogate_width=32, head_width=8,
    epochs=10, epoch_steps=2, batch_size=2, loss_points=128, validation_share=0.2, robust=0.5,
)  # fmt: skip


@pytest.fixture(scope="module")
def base() -> SamBase:
    """MobileSAM's architecture with random weights."""
    torch.manual_seed(0)
    return SamBase(architecture("mobile_sam"), SIZE).eval()


@pytest.fixture()
def corpus(tmp_path: Path) -> Path:
    """Ten pictures with two regions and background."""
    folder = tmp_path / "corpus"
    (folder / "im").mkdir(parents=True)
    (folder / "gt").mkdir()
    rng = np.random.default_rng(0)
    for index in range(10):
        height, width = 48 + 4 * index, 80
        regions = np.zeros((height, width), np.uint8)
        regions[5:30, 5 : 20 + 3 * index] = 1
        regions[20:40, 50:75] = 2
        Image.fromarray(rng.integers(0, 255, (height, width, 3), np.uint8)).save(
            folder / "im" / f"{index}.png"
        )
        Image.fromarray(regions).save(folder / "gt" / f"{index}.png")
    return folder


def head_state(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in trainer.generator.named_parameters()}


def trainer_for(base: SamBase, corpus: Path, folder: Path, config: TrainConfig = TINY) -> Trainer:
    folder.mkdir(exist_ok=True)
    return Trainer(base, scan([corpus]), config, folder, cache_folder=folder / "cache", cpu=True)


def test_resume_continues_the_same_trajectory(base: SamBase, corpus: Path, tmp_path: Path) -> None:
    whole = trainer_for(base, corpus, tmp_path / "whole")
    whole.run(validation_images=2, validate_every=10, save_every=10)
    first = trainer_for(base, corpus, tmp_path / "halves")
    first.run(stop_after=10, validation_images=2, validate_every=10, save_every=10)
    second = trainer_for(base, corpus, tmp_path / "halves")
    assert second.run(resume=True, validation_images=2, validate_every=10).step == 20
    for name, tensor in head_state(whole).items():
        assert torch.equal(tensor, head_state(second)[name]), name
    for a, b in zip(whole.surrogate.parameters(), second.surrogate.parameters(), strict=True):
        assert torch.equal(a, b)
    text = (tmp_path / "halves" / "log.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [x["step"] for x in lines if x["phase"] != "validation"] == list(range(1, 21))
    assert {"loss", "iou", "noise_std", "noise_hf"} <= set(lines[0])
    assert (tmp_path / "halves" / "samples" / "step-000020.png").exists()


def test_resuming_with_other_settings_is_refused(
    base: SamBase, corpus: Path, tmp_path: Path
) -> None:
    trainer_for(base, corpus, tmp_path / "run").run(stop_after=1, validation_images=1)
    other = trainer_for(base, corpus, tmp_path / "run", replace(TINY, epsilon=4.0))
    with pytest.raises(UnsegError, match="epsilon"):
        other.run(resume=True)


def test_resuming_on_other_files_or_a_damaged_state_is_refused(
    base: SamBase, corpus: Path, tmp_path: Path
) -> None:
    trainer_for(base, corpus, tmp_path / "run").run(stop_after=1, validation_images=1)
    for part in ("im", "gt"):
        (corpus / part / "9.png").unlink()
    with pytest.raises(UnsegError, match="other files"):
        trainer_for(base, corpus, tmp_path / "run").run(resume=True)
    (tmp_path / "run" / "state.pt").write_bytes(b"no state")
    with pytest.raises(UnsegError, match=r"state\.pt is not a checkpoint"):
        trainer_for(base, corpus, tmp_path / "run").run(resume=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epsilon": 300.0}, "0..255"),
        ({"codebook": (0.0, 5.0)}, "codebook is 0,5"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"points": 0}, "points is 0"),
        ({"generator_prompts": ("masks",)}, "generator_prompts needs"),
        ({"surrogate_prompts": ("no",)}, "surrogate_prompts needs"),
    ],
)
def test_settings_that_cannot_train_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsegError, match=message):
        replace(TINY, **change)


def test_each_phase_changes_its_own_model_only(base: SamBase, corpus: Path, tmp_path: Path) -> None:
    trainer = trainer_for(base, corpus, tmp_path / "run")
    frozen = {n: p.clone() for n, p in base.named_parameters()}
    head, surrogate = head_state(trainer), [p.clone() for p in trainer.surrogate.parameters()]
    assert trainer.step(0)[0] == "surrogate"
    assert all(torch.equal(v, head[n]) for n, v in head_state(trainer).items())
    moved = [not torch.equal(a, b) for a, b in zip(surrogate, trainer.surrogate.parameters(),
                                                   strict=True)]  # fmt: skip
    assert sum(moved) > len(moved) / 2
    surrogate = [p.clone() for p in trainer.surrogate.parameters()]
    assert trainer.step(2)[0] == "generator"
    assert all(torch.equal(a, b) for a, b in zip(surrogate, trainer.surrogate.parameters(),
                                                 strict=True))  # fmt: skip
    trainable = [n for n in head if not n.startswith("base.")]
    assert all(not torch.equal(head_state(trainer)[n], head[n]) for n in trainable)
    assert all(torch.equal(p, frozen[n]) for n, p in base.named_parameters())


def test_bilevel_steps_lower_the_loss(base: SamBase, corpus: Path, tmp_path: Path) -> None:
    config = replace(TINY, robust=0.0, flip=0.0, jitter_min=1.0, jitter_max=1.0, loss_points=0,
                     surrogate_prompts=("none",), perturb_boundary=0.0,
                     generator_lr=3e-3, surrogate_lr=3e-3)  # fmt: skip
    trainer = trainer_for(base, corpus, tmp_path / "run", config)
    losses = [trainer.step(step % 20)[1]["loss"] for step in range(48)]
    assert np.mean(losses[-8:]) < 0.85 * np.mean(losses[:8])


def test_label_modification_asks_the_generator_for_ones(
    base: SamBase, corpus: Path, tmp_path: Path
) -> None:
    same = replace(TINY, robust=0.0, surrogate_prompts=("none",))
    plain = trainer_for(base, corpus, tmp_path / "a", same)
    modified = trainer_for(base, corpus, tmp_path / "b", replace(same, label_modification=True))
    assert plain.step(0)[1]["loss"] == pytest.approx(modified.step(0)[1]["loss"])
    assert plain.step(2)[1]["loss"] != pytest.approx(modified.step(2)[1]["loss"])


def test_presets_are_the_papers_and_ours() -> None:
    paper = preset("reference")
    assert (paper.base, paper.generator_size, paper.surrogate_size) == ("vit_b", 1024, 512)
    assert (paper.epochs, paper.drop_epoch, paper.batch_size, paper.seed) == (27, 20, 32, 42)
    assert (paper.epsilon, paper.epsilon_background) == (1.0, 0.25)
    assert paper.label_modification and paper.generator_lr == paper.surrogate_lr == 1e-4
    assert [paper.trains_surrogate(e) for e in range(5)] == [True, False, False, False, True]
    assert TrainConfig.from_dict(json.loads(json.dumps(paper.as_dict()))) == paper
    with pytest.raises(UnsegError, match="reference, cpu"):
        preset("huge")
    with pytest.raises(UnsegError, match="epsilom"):
        TrainConfig.from_dict({"epsilom": 1})


def test_the_reference_setting_runs_in_small(base: SamBase, corpus: Path, tmp_path: Path) -> None:
    config = replace(
        preset("reference"), base="mobile_sam", generator_size=SIZE, surrogate="small",
        surrogate_size=64, surrogate_width=32, head_width=8, batch_size=2, epoch_steps=1,
        loss_points=64,
    )  # fmt: skip
    trainer = trainer_for(base, corpus, tmp_path / "run", config)
    assert [trainer.step(step)[0] for step in range(4)] == ["surrogate"] + ["generator"] * 3


def test_sam_vit_surrogate_learns_from_scratch() -> None:
    torch.manual_seed(0)
    surrogate = Surrogate("vit_b", 64)
    logits = surrogate(torch.rand(1, 3, 64, 64) * 255, Prompts())
    assert logits.shape == (1, 1, 16, 16) and bool(logits.std() > 0)
    logits.square().mean().backward()
    norm = surrogate.encoder.patch_embed.projection.weight.grad.norm()
    assert norm > 0


@pytest.mark.parametrize("name", list(DEGRADATIONS))
def test_degradations_pass_gradients(name: str) -> None:
    image = (torch.rand(2, 3, 33, 47) * 255).requires_grad_()
    out = DEGRADATIONS[name](image, torch.Generator().manual_seed(0))
    assert out.shape == image.shape
    out.sum().backward()
    assert image.grad is not None and bool(image.grad.abs().sum() > 0)


@settings(max_examples=25, deadline=None)
@given(st.integers(20, 90), st.integers(20, 90), st.floats(0.1, 2.0), st.booleans(),
       st.floats(0, 1), st.floats(0, 1))  # fmt: skip
def test_jitter_keeps_image_and_mask_together(
    height: int, width: int, scale: float, flip: bool, top: float, left: float
) -> None:
    mask = torch.zeros(1, height, width)
    mask[:, : height // 2, : width // 2] = 1
    image = (mask * 200).expand(3, -1, -1)
    view, target = apply_jitter(image, mask, Jitter(flip, scale, top, left), 48)
    assert view.shape == (3, 48, 48) and target.shape == (1, 48, 48)
    inside = (view[0] - 127.5).abs() > 1e-3
    assert torch.allclose(view[0][inside], 200 * target[0][inside], atol=0.1)


def test_uncertain_points_are_where_the_prediction_is_unsure() -> None:
    logits = torch.linspace(-9, 9, 32).expand(1, 1, 32, 32)
    points = uncertain_points(
        logits, 100, oversample=3, importance=0.75, rng=torch.Generator().manual_seed(0)
    )
    near = ((points[0, :, 0] - 0.5).abs() < 0.1).float().mean()
    assert near > 0.45, "a uniform draw would have 0.2"
    assert points.shape == (1, 100, 2) and bool((points >= 0).all()) and bool((points <= 1).all())


def test_loss_is_small_for_a_right_and_large_for_a_wrong_mask() -> None:
    target = torch.zeros(1, 1, 16, 16)
    target[..., 4:12, 4:12] = 1
    for points in (0, 200):
        rng = torch.Generator().manual_seed(0)
        right = mask_loss((2 * target - 1) * 12, target, points=points, rng=rng)
        wrong = mask_loss((1 - 2 * target) * 12, target, points=points, rng=rng)
        assert right < 0.6 and wrong > 3 * right


def test_prompts_lie_on_the_object() -> None:
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 10:30, 20:50] = 1
    rng = torch.Generator().manual_seed(0)
    points, labels = points_of(mask, 10, 512, rng)
    assert bool((labels == 1).all())
    assert bool(((points[..., 0] >= 160) & (points[..., 0] < 400)).all())
    assert bool(((points[..., 1] >= 80) & (points[..., 1] < 240)).all())
    assert boxes_of(mask, 512, 0.0, rng).tolist() == [[[160.0, 80.0, 400.0, 240.0]]]
    prompt = mask_prompt(mask, 64)
    assert prompt.unique().tolist() == [-MASK_LOGIT, MASK_LOGIT]
    changed = perturb_boundary(prompt, 0.5, rng) != prompt
    assert bool(changed.any()) and not bool(changed[..., 40:, :].any())
    assert not bool((perturb_boundary(prompt, 0.0, rng) != prompt).any())


def test_prompt_subsets_are_never_empty_and_reach_all() -> None:
    rng = torch.Generator().manual_seed(0)
    drawn = {tuple(random_subset(("box", "point", "mask"), rng)) for _ in range(200)}
    assert len(drawn) == 7 and () not in drawn
    empty = draw_prompts(
        torch.zeros(2, 1, 8, 8), ["box", "point", "mask"], size=64, grid=8, points=3,
        perturb=0.5, rng=rng,
    )  # fmt: skip
    assert empty.boxes is not None and torch.allclose(
        empty.boxes, torch.tensor([0.0, 0.0, 64.0, 64.0]), atol=0.05 * 64
    )


def test_split_is_by_file_and_stable(corpus: Path) -> None:
    entries = scan([corpus])
    train, held = split(entries, 0.3, 1)
    assert len(train) == 7 and len(held) == 3 and not set(train) & set(held)
    assert split(entries, 0.3, 1) == (train, held) and split(entries, 0.3, 2) != (train, held)


def test_corpus_errors_name_the_file_and_the_fix(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(UnsegError, match="im/ folder"):
        scan([tmp_path])
    (corpus / "gt" / "3.png").unlink()
    with pytest.raises(UnsegError, match=r"3\.png"):
        scan([corpus])
    Image.new("L", (7, 9)).save(corpus / "gt" / "3.png")
    with pytest.raises(UnsegError, match=r"3\.png is 7x9 but .* is 80x60"):
        load(scan([corpus])[3], 64)
    (corpus / "im" / "4.png").write_bytes(b"no image")
    with pytest.raises(UnsegError, match=r"4\.png"):
        load(scan([corpus])[4], 64)


def test_a_sample_is_a_union_of_regions(corpus: Path) -> None:
    picture = load(scan([corpus])[0], 80)
    rng = torch.Generator().manual_seed(0)
    seen = set()
    for _ in range(60):
        mask = draw_mask(picture, rng)[0] > 0
        ids = set(picture.regions[mask].tolist())
        assert ids and 0 not in ids
        assert bool((mask == torch.isin(picture.regions, torch.tensor(sorted(ids)))).all())
        seen.add(tuple(sorted(ids)))
    assert seen == {(1,), (2,), (1, 2)}


def test_soft_masks_are_one_region(corpus: Path) -> None:
    soft = np.zeros((60, 80), np.uint8)
    soft[10:50, 15:45] = 255
    blurred = Image.fromarray(soft).filter(ImageFilter.GaussianBlur(1))
    blurred.save(corpus / "gt" / "3.png")
    assert load(scan([corpus])[3], 80).ids == (255,)


def test_an_image_is_read_upright(corpus: Path) -> None:
    exif = Image.Exif()
    exif[274] = 3  # turned by half
    picture = Image.open(corpus / "im" / "3.png")
    upright = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    picture.rotate(180).save(corpus / "im" / "3.png", exif=exif)
    assert torch.equal(load(scan([corpus])[3], 80).image, upright)


def test_cache_answers_without_the_model(base: SamBase, tmp_path: Path) -> None:
    image = torch.randint(0, 255, (3, 40, 60), dtype=torch.uint8)
    cache = FeatureCache(tmp_path, base)
    first = cache.features(image)
    calls: list[int] = []
    cache._compute = lambda image: calls.append(1)  # type: ignore[assignment, func-returns-value]
    again = cache.features(image)
    assert torch.equal(first.embedding, again.embedding) and not calls
    for damaged in tmp_path.rglob("*.safetensors"):
        damaged.write_bytes(b"gone")
    cache = FeatureCache(tmp_path, base)
    assert torch.equal(cache.features(image).embedding, first.embedding)
    torch.manual_seed(1)
    other = FeatureCache(tmp_path, SamBase(architecture("mobile_sam"), SIZE).eval())
    assert not torch.equal(other.features(image).embedding, first.embedding)


def test_noise_has_no_local_mean_and_even_contrast() -> None:
    logits = torch.randn(1, 3, 64, 64)
    logits[..., :32] *= 0.1
    logits = logits + torch.linspace(-9, 9, 64)
    out = flatten_contrast(logits, 16)
    middle = out[..., 16:48, 16:48]
    assert float(middle.mean().abs()) < 0.1 < float(logits[..., 32:].mean())
    assert 0.7 < float(middle[..., :8].std() / middle[..., -8:].std()) < 1.4


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 150), st.integers(1, 150))
def test_noise_has_the_images_size_and_range(base: SamBase, height: int, width: int) -> None:
    generator = NoiseGenerator(base, HeadConfig(width=8, mask_feature=True, textures=(4.0,)))
    masks = torch.zeros(2, height, width, dtype=torch.bool)
    masks[0, : height // 2] = True
    noise = generator.noise(torch.rand(3, height, width) * 255, masks)
    assert noise.shape == (2, 3, height, width)
    assert bool(noise.isfinite().all()) and float(noise.abs().max()) <= 1


def test_batched_noise_equals_single_noise(base: SamBase) -> None:
    generator = NoiseGenerator(base, HeadConfig(width=8, mask_feature=True, local_norm=8)).eval()
    images = [torch.rand(3, 40, 70) * 255, torch.rand(3, 90, 30) * 255]
    masks = [torch.rand(1, 40, 70) > 0.5, torch.rand(3, 90, 30) > 0.5]
    together = generator.noise_batch(images, masks)
    for image, mask, noise in zip(images, masks, together, strict=True):
        assert torch.allclose(generator.noise(image, mask), noise, atol=1e-4)
    with pytest.raises(ValueError, match="masks are"):
        generator.noise(images[0], masks[1])


def test_generator_file_round_trip(base: SamBase, tmp_path: Path) -> None:
    generator = NoiseGenerator(base, HeadConfig(width=8, textures=(4.0, 6.0))).eval()
    path = tmp_path / "g.safetensors"
    write_generator(generator, path, training={"config": {"seed": 3}})
    loaded = load_generator(str(path))
    image, mask = torch.rand(3, 50, 60) * 255, torch.rand(1, 50, 60) > 0.5
    # The encoder is stored in fp16.
    assert float((loaded.noise(image, mask) - generator.noise(image, mask)).abs().mean()) < 0.05
    assert loaded.model_id.startswith("g@") and len(loaded.sha256) == 64
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UnsegError, match="damaged, truncated or no safetensors"):
        load_generator(str(path))
    with pytest.raises(UnsegError, match="neither a file nor a model"):
        load_generator("no-such-model")


def test_a_head_alone_takes_its_base_from_a_shipped_generator(
    base: SamBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, head = tmp_path / "whole.safetensors", tmp_path / "head.safetensors"
    write_generator(NoiseGenerator(base, HeadConfig(width=8)), whole)
    generator = NoiseGenerator(base, HeadConfig(width=8, textures=(4.0,)))
    write_generator(generator, head, base_from=str(whole))
    loaded = load_generator(str(head))
    assert head.stat().st_size < whole.stat().st_size
    shared = load_generator(str(whole)).base.state_dict()
    for name, tensor in loaded.base.state_dict().items():
        assert torch.equal(tensor, shared[name]), name
    assert torch.equal(loaded.noise_tokens.weight, generator.noise_tokens.weight)


def test_heads_are_written_beside_an_equal_base_only(
    base: SamBase, tmp_path: Path, cli: Callable[..., tuple[int, str, str]]
) -> None:
    whole, head = tmp_path / "whole.safetensors", tmp_path / "head.safetensors"
    write_generator(NoiseGenerator(base, HeadConfig(width=8)), whole, training={"seed": 3})
    code, out, _ = cli("weights", "head", whole, "-o", head, "--base-from", whole)
    assert code == 0 and str(head) in out and head.stat().st_size < whole.stat().st_size
    assert read_metadata(head)["training"] == {"seed": 3}
    before, after = load_generator(str(whole)), load_generator(str(head))
    for name, tensor in before.state_dict().items():
        assert torch.equal(tensor, after.state_dict()[name]), name
    loud = tmp_path / "loud.safetensors"
    assert cli("weights", "head", whole, "-o", loud, "--base-from", whole, "--gain", 4)[0] == 0
    assert read_metadata(loud)["training"] == {"seed": 3, "gain_after_training": 4.0}
    scales = [load_generator(str(file)).log_scale.exp().item() for file in (head, loud)]
    assert scales[1] == pytest.approx(4 * scales[0])
    textured, long = tmp_path / "textured.safetensors", tmp_path / "long.safetensors"
    write_generator(NoiseGenerator(base, HeadConfig(width=8, textures=(4.0,))), textured)
    line = ("weights", "head", textured, "-o", long, "--base-from", whole, "--stretch", 1.5)
    assert cli(*line)[0] == 0
    assert load_generator(str(long)).config.textures == (6.0,)
    assert read_metadata(long)["training"] == {"stretch_after_training": 1.5}
    named = tmp_path / "named.safetensors"
    old = NoiseGenerator(base, HeadConfig(width=8, textures=(4.0,), codebook=(4.0,)))
    assert old.codebook is not None
    old.codebook.colours.neg_()
    old.codebook.centres.normal_()
    write_generator(old, named)
    line = ("weights", "head", named, "-o", tmp_path / "new.safetensors", "--base-from", whole)
    assert cli(*line, "--codebook", 6)[0] == 0
    new = load_generator(str(tmp_path / "new.safetensors"))
    assert new.codebook is not None and new.config.codebook == (6.0,)
    today = Codebook(new.codebook.centres.shape[1], (6.0,))
    for part in ("vectors", "colours"):
        torch.testing.assert_close(new.codebook.get_buffer(part), today.get_buffer(part))
    torch.testing.assert_close(new.codebook.centres, old.codebook.centres)
    code, _, err = cli(*line, "--codebook", "4,8")
    assert code == 2 and "9 entries and 2 periods make 18" in err
    assert "at least 2" in cli(*line, "--codebook", "4,x")[2]
    code, _, err = cli("weights", "head", whole, "-o", tmp_path / "other.safetensors")
    assert code == 2 and "has another base than unseg-mobile-sam-2" in err


def test_older_weights_stay_loadable_by_name() -> None:
    newest, first = load_generator(), load_generator("unseg-mobile-sam-1")
    second, third, fourth, fifth = (load_generator(f"unseg-mobile-sam-{i}") for i in (2, 3, 4, 5))
    assert newest.model_id.startswith("unseg-mobile-sam-6@") and not newest.config.background
    # What was learned is the fourth's: results with one prompt for the union hold for all three.
    renewed = {"codebook.colours", "codebook.vectors"}
    for later in (newest, fifth):
        for (name, tensor), before in zip(
            later.state_dict().items(), fourth.state_dict().values(), strict=True
        ):
            assert torch.equal(tensor, before) or name in renewed, name
    # Where some classes are silent the others have level stripes of magenta and green.
    assert newest.codebook is not None
    assert newest.codebook.colours[0].tolist() == [1, -1, 1]
    torch.testing.assert_close(
        newest.codebook.vectors[0], torch.tensor([1 / 8, 0.0]), atol=1e-6, rtol=0
    )
    assert third.model_id.startswith("unseg-mobile-sam-3@") and third.config.codebook
    assert second.model_id.startswith("unseg-mobile-sam-2@") and not second.config.codebook
    assert first.model_id.startswith("unseg-mobile-sam-1@") and not first.config.textures


def test_collapse_is_seen() -> None:
    constant = torch.full((2, 3, 16, 16), 0.7)
    assert collapsed(noise_statistics(constant))
    checker = constant.clone()
    checker[..., ::2] *= -1
    found = noise_statistics(checker)
    assert not collapsed(found) and found["noise_hf"] > 0.7 and found["noise_abs"] > 0.6
