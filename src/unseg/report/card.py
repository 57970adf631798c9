"""The model card of a training run: curves as a picture and the facts as Markdown."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unseg.errors import UnsegError
from unseg.models.registry import read_metadata
from unseg.provenance import sha256_file

#: Steps averaged for one point of a training curve.
SMOOTH = 20

LICENCES = {
    "ccp": "Clothing Co-Parsing (ccp) is under the Apache License 2.0",
    "bsds500": "The source of BSDS500 states no licence",
}
"""By the name of a corpus' folder."""

LIMITS = """\
- The learned part is class-agnostic: it tells a model *where* the masked object is, not *which*
  class it has. On dense label maps, where every pixel has a class, some classes carry a texture of
  a codebook and the others none; that is its weakest use.
- Which wave a place has is chosen on a grid of a quarter of the model input ({grid} cells along the
  long side). Waves are as long as a share of the image, so a trainer who works on small crops of a
  very large picture sees long ones.
- The generator is public, so an attacker can make pairs of clean and protected images with keys of
  their own and train a network to remove the noise. Blurring, strong JPEG compression, grey
  conversion and training on many clean images beside the protected ones weaken it, too.
- It cannot recall what was published before, and it does not hide an image from people or from a
  model that is already trained.
"""


def read_log(run: Path) -> list[dict[str, Any]]:
    """Lines of a run's ``log.jsonl``.

    Raises:
        UnsegError: when the folder is no run.
    """
    path = run / "log.jsonl"
    if not path.is_file():
        raise UnsegError(f"{path} does not exist: expected a folder written by unseg train")
    return [json.loads(line) for line in path.read_text().splitlines()]


def curves(log: list[dict[str, Any]], path: Path) -> None:
    """Draw loss, IoU, gap and noise statistics over the steps into a PNG.

    Args:
        log: from :func:`read_log`.
        path: where to write.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(10, 6.5), layout="constrained")

    def plot(axis: Any, phase: str, name: str, label: str, smooth: int = 1) -> None:
        points = [(line["step"], line[name]) for line in log if line["phase"] == phase]
        groups = [points[i : i + smooth] for i in range(0, len(points), smooth)]
        steps = [group[-1][0] for group in groups]
        axis.plot(steps, [sum(v for _, v in g) / len(g) for g in groups], label=label)

    for phase in ("surrogate", "generator"):
        plot(axes[0, 0], phase, "loss", f"{phase} phase", SMOOTH)
        plot(axes[0, 1], phase, "iou", f"{phase} phase, training", SMOOTH)
    plot(axes[1, 0], "validation", "iou_protected", "protected validation images")
    plot(axes[1, 0], "validation", "iou_clean", "same images, clean")
    plot(axes[1, 0], "validation", "gap", "gap (picks the checkpoint)")
    plot(axes[1, 1], "validation", "noise_std", "spatial standard deviation")
    plot(axes[1, 1], "validation", "noise_hf", "share of high-frequency energy")
    plot(axes[1, 1], "validation", "noise_abs", "mean absolute value")
    titles = ("loss", "surrogate IoU", "surrogate IoU, validation", "noise, validation")
    for axis, title in zip(axes.flat, titles, strict=True):
        axis.set_title(title)
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def licences(corpora: Mapping[str, int]) -> str:
    """What is known of the licences of the corpora that the shipped weights learned from."""
    known = [LICENCES[name] for name in corpora if name in LICENCES]
    return " ".join(f"{one}." for one in [*known, "No image of them is part of this repository"]
                    ) if known else ""  # fmt: skip


def read_record(metadata: Mapping[str, Any], weights: Path) -> dict[str, Any]:
    """The record of a training inside a weight file.

    Raises:
        UnsegError: when there is none, or it is in the form of version 0.10.0 or earlier.
    """
    training: dict[str, Any] = metadata["training"]
    if "settings" not in training:
        raise UnsegError(
            f"{weights} has no training record that this version reads: make the card with the "
            "version of unseg that trained it"
        )
    return training


def settings_table(settings: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown of all settings by their dotted names."""
    rows = [
        f"| `{group}.{name}` | {_shown(value)} |"
        for group, values in settings.items()
        for name, value in values.items()
    ]
    return "\n".join(["| setting | value |", "|---|---|", *rows])


def item(text: str) -> str:
    """A Markdown list item, in lines of at most 100 characters where words allow it."""
    return textwrap.fill(
        text, 100, initial_indent="- ", subsequent_indent="  ", break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def origin(training: Mapping[str, Any]) -> str:
    """Markdown items that say where weights come from: command, versions, base and data."""
    versions = ", ".join(f"{name} {version}" for name, version in training["versions"].items())
    corpora = ", ".join(f"{name} ({count} images)" for name, count in training["corpora"].items())
    base = training["base"]
    facts = [
        f"Seed {training['seed']}; revision `{training['git_revision']}`; {versions}",
        f"Frozen base: {base['name']} (see NOTICE); sha256 of its weights in float32 "
        f"`{base['sha256']}`",
        f"Data: {corpora}; sha256 of names and contents `{training['data_sha256']}`. "
        + licences(training["corpora"]),
    ]
    # A command is one line, so that it can be copied.
    return "\n".join([f"- Command: `{training['command']}`", *map(item, facts)])


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_shown, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def model_card(weights: Path, run: Path, curves_name: str) -> str:
    """Markdown of a model card.

    Args:
        weights: the checkpoint that ships, with its training record.
        run: the run's folder.
        curves_name: file name of the curves' picture, relative to the card.

    Raises:
        UnsegError: when the weights have no record of their training.
    """
    metadata = read_metadata(weights)
    training, head = read_record(metadata, weights), metadata["settings"]
    progress, settings = training["progress"], training["settings"]
    validation = [line for line in read_log(run) if line["phase"] == "validation"]
    chosen = next(line for line in validation if line["step"] == progress["step"])
    facts = [
        f"File: `{weights.name}`, {weights.stat().st_size / 1e6:.1f} MB, sha256 "
        f"`{sha256_file(weights)}`",
        f"Weights after step {progress['step']} of {validation[-1]['step']}, where the gap on "
        f"validation images was largest; {progress['seconds'] / 3600:.2f} hours until then.",
        "That gap is between the surrogates' IoU on protected validation images "
        f"({chosen['iou_protected']:.3f}) and on the same images clean "
        f"({chosen['iou_clean']:.3f}): {chosen['gap']:.3f}. No victim and no test image took part "
        "in the choice.",
        f"SSIMULACRA2 of the validation images at the whole bound: {chosen['visibility']:.0f}.",
        "Noise on validation images: spatial standard deviation "
        f"{chosen['noise_std']:.3f}, share of high-frequency energy {chosen['noise_hf']:.3f}, "
        f"mean absolute value {chosen['noise_abs']:.3f} (of 1).",
    ]
    file, *rest = map(item, facts)
    items = "\n".join([file, origin(training), *rest])
    return f"""# Model card: {weights.stem}

One universal generator of unlearnable noise (UnSeg, arXiv 2410.09909) on a frozen
{settings["models"]["base"]} at {head["image_size"]} pixels.

{items}

![Curves of the run]({curves_name})

## Limits

{LIMITS.format(grid=head["image_size"] // 4)}
## Settings

{settings_table(settings)}
"""
