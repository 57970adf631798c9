"""docs/performance.md from a stored run of ``unseg benchmark``."""

from __future__ import annotations

from typing import Any

#: A machine that had as much to do before has disturbed the run.
BUSY = 0.5


def performance_page(run: dict[str, Any], command: str) -> str:
    """The page.

    Args:
        run: from :func:`unseg.protect.benchmark.benchmark`.
        command: that repeats the run and writes this page.

    Returns:
        Markdown.
    """
    parts = [
        "# How fast it is",
        "Written by the command from one run on one machine; figures are medians, with quartiles "
        "in brackets.",
        f"    {command}",
        _machine(run),
        "## A photograph, end to end",
        "Read, find the foreground, make the noise, add it, encode, write to disk, read back and "
        "measure. The photograph is a drawn one; start-up and loading are not in it.",
        _cases(run),
        _target(run),
        "## Where the time goes",
        "Seconds a photograph, by stage. Reading and writing overlap with the model where there "
        "are several photographs. Seconds of processor are those of the stage's own thread.",
        *(_stages(case) for case in run["cases"] if case["masks"]),
        "## Limits of the machine in the same run",
        _limits(run),
        "Codecs of the libraries on the same pixels, without anything of unseg's:",
        _codecs(run),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _machine(run: dict[str, Any]) -> str:
    machine, versions = run["machine"], run["versions"]
    text = (
        f"{machine['processor']}, {machine['cores']} processors, {machine['torch_threads']} "
        f"threads, device {machine['device']}, {machine['system']}; unseg {versions['unseg']}, "
        f"torch {versions['torch']}, Pillow {versions['pillow']}. {run['repeats']} repeats."
    )
    if run["peak_memory_mb"] is not None:
        text += f" The process took {run['peak_memory_mb']} MB at most."
    load = machine.get("load_before")
    if load is not None and load > BUSY:
        text += (
            f"\n\n**The machine was busy: {load:g} processes wanted to run when the run began.** "
            "Seconds that went by say little then; compare seconds of processor, and shares."
        )
    return text


def _cases(run: dict[str, Any]) -> str:
    rows = [
        [
            _size(case), case["format"], "given" if case["masks"] else "found",
            _seconds(case["wall"]), _seconds(case["cpu"]), f"{case['bytes'] / 1e6:.1f} MB",
        ]
        for case in run["cases"]
    ]  # fmt: skip
    return table(["photograph", "format", "masks", "seconds", "of processor", "file"], rows)


def _target(run: dict[str, Any]) -> str:
    """The largest photograph against Pillow's own work on it."""
    largest = max(run["codecs"], key=lambda one: one["size"][0] * one["size"][1])
    spent = largest["seconds"]
    pillow = spent["Pillow JPEG decode"]["median"] + spent["Pillow PNG, its default"]["median"]
    ours = [
        case for case in run["cases"]
        if case["masks"] and case["format"] == "png" and case["size"] == largest["size"]
    ]  # fmt: skip
    if not ours:
        return ""
    ratio = ours[0]["wall"]["median"] / pillow
    return (
        f"Pillow's JPEG decoder and PNG encoder (its default) alone take {pillow:.2f} s on the "
        f"photograph of {_size(largest)}: all of the above, to PNG, takes {ratio:.2f} times as "
        "long."
    )


def _stages(case: dict[str, Any]) -> str:
    rows = [
        [name, _seconds(one["wall"]), _seconds(one["cpu"])] for name, one in case["stages"].items()
    ]
    head = [f"{_size(case)}, {case['format']}", "seconds", "of processor"]
    return table(head, rows)


def _limits(run: dict[str, Any]) -> str:
    limits, network = run["limits"], run["network"]
    least = network["flops"] / limits["gemm_gflops"]["median"] / 1e9
    spent = network["seconds"]["median"]
    return table(
        ["limit", "measured"],
        [
            ["product of matrices, float32", f"{_range(limits['gemm_gflops'], '.0f')} GFLOP/s"],
            ["copying memory, one thread", f"{_range(limits['copy_gb_per_s'], '.1f')} GB/s"],
            ["operations of the network on an image", f"{network['flops'] / 1e9:.1f} GFLOP"],
            ["least time for these", f"{least:.3f} s"],
            ["time of the network", f"{_seconds(network['seconds'])} s, {spent / least:.1f} times"],
        ],
    )


def _codecs(run: dict[str, Any]) -> str:
    names = list(run["codecs"][0]["seconds"])
    rows = [[name, *(_seconds(one["seconds"][name]) for one in run["codecs"])] for name in names]
    return table(["seconds", *(_size(one) for one in run["codecs"])], rows)


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _size(one: dict[str, Any]) -> str:
    return f"{one['size'][0]} x {one['size'][1]}"


def _seconds(found: dict[str, float]) -> str:
    return _range(found, ".3f")


def _range(found: dict[str, float], form: str) -> str:
    return f"{found['median']:{form}} ({found['low']:{form}} to {found['high']:{form}})"
