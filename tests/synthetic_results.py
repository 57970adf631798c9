"""Result files as unseg evaluate writes them, with figures that a test chooses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unseg.evaluate.results import Result, ResultStore, content_key


def condition(name: str, inside: float = 8.0, outside: float = 2.0) -> dict[str, Any]:
    """A condition's configuration."""
    if name == "clean":
        return {"name": name}
    return {"name": name, "budget": {"foreground": inside, "background": outside}}


def mixed(inner: str, share: float) -> dict[str, Any]:
    """A share of the images under a condition, or of the clean ones alone."""
    kind = "clean-only" if inner == "clean" else inner
    name = f"{kind}@{share * 100:g}%"
    return {"name": name, "share": share, "draw": 0, "condition": condition(inner)}


def put(
    folder: Path,
    task: str,
    victim: str,
    changed: dict[str, Any] | str,
    value: float,
    *,
    defence: str = "none",
    seed: int = 0,
    metric: str = "iou",
    scores: dict[str, float] | None = None,
    settings: dict[str, Any] | None = None,
    launch: dict[str, Any] | None = None,
    visibility: tuple[float, float] | None = None,
    command: str = "unseg evaluate --suite real --data data -o results",
) -> Result:
    """Write one result file."""
    config = {
        "task": {"name": task, "part": "test", "data_sha256": task.encode().hex().ljust(64, "0")},
        "victim": {"name": victim, **(settings or {"steps": 800})},
        "condition": condition(changed) if isinstance(changed, str) else changed,
        "defence": {"label": defence, "name": defence},
        "seed": seed,
        **({"launch": launch} if launch else {}),
    }
    provenance = {"seed": seed, "command": command, "versions": {"torch": "2.13.0"}}
    result = Result(
        content_key(config), config, metric, value, {metric: value, **(scores or {})}, [1.0, 0.5],
        {"inside": 8.0, "outside": 2.0, "mean": 1.0},
        {"condition": 2.0, "training": 95.0, "test": 3.0}, provenance,
        dict(zip(("mean", "lowest"), visibility, strict=True)) | {"images": 24}
        if visibility else {},
    )  # fmt: skip
    ResultStore(folder).save(result)
    return result


def write_results(folder: Path) -> Path:
    """A small suite: two tasks, a victim below its floor, defences, budgets and mixed sets."""
    for seed, clean, ours in ((0, 0.60, 0.10), (1, 0.62, 0.14), (2, 0.64, 0.12)):
        put(folder, "person", "unet", "clean", clean, seed=seed)
        put(folder, "person", "unet", "unseg", ours, seed=seed)
    put(folder, "person", "unet", "random", 0.61)
    put(folder, "person", "unet", "pattern", 0.05)
    put(folder, "person", "unet", "texture", 0.118)
    put(folder, "person", "unet", "unseg", 0.45, defence="jpeg75")
    put(folder, "person", "unet", "unseg", 0.13, defence="resize50")
    put(folder, "person", "unet", "clean", 0.59, defence="jpeg75")
    for inside, value in ((2.0, 0.5), (4.0, 0.4), (16.0, 0.04)):
        put(folder, "person", "unet", condition("unseg", inside, inside / 4), value)
    for share, value, alone in ((0.2, 0.6, 0.57), (0.8, 0.3, 0.4)):
        put(folder, "person", "unet", mixed("unseg", share), value)
        put(folder, "person", "unet", mixed("clean", round(1 - share, 2)), alone)
    put(folder, "roads", "unet", "clean", 0.6)
    for level, share in (("low", 0.2), ("", 0.1), ("strong", 0)):
        for noise, mean in (("unseg", 0.1), ("stripes", 0.15)):
            changed = condition(noise)
            if level:
                changed = {**condition(f"{noise}-{level}"), "visibility": level}
            seen = (100 * mean + 400 * share, 300 * share)
            put(folder, "roads", "unet", changed, mean + share, visibility=seen)
    put(folder, "ccp", "unet", "clean", 0.31)
    put(folder, "ccp", "unet", "unseg", 0.29)
    return folder
