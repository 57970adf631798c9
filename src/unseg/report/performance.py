"""docs/performance.md from a stored run of ``unseg benchmark``."""

from __future__ import annotations

from typing import Any

#: A machine that had as much to do before has disturbed the run.
BUSY = 0.5


def performance_page(
    run: dict[str, Any], command: str, runtimes: dict[str, Any] | None = None
) -> str:
    """The page.

    Args:
        run: from :func:`unseg.protect.benchmark.benchmark`.
        command: that repeats the run and writes this page.
        runtimes: what scripts/runtimes.py wrote, if it is to be shown.

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
        f"measure. *In a row* is one of {run['row']} photographs: while the network works on one, "
        "the one before is encoded and checked. Photographs are drawn ones, some with a figure "
        "that stands out; where nothing does, objects are proposed at a grid of points. Start-up "
        "and loading are not in it.",
        _cases(run),
        _targets(run),
        "## Where the time goes",
        "Seconds of a photograph alone, by stage. Seconds of processor are those of the stage's "
        "own thread.",
        *(_stages(case) for case in run["cases"] if case["masks"] == "given"),
        "## Limits of the machine in the same run",
        _limits(run),
        *_batches(run),
        "Codecs of the libraries on the same pixels, without anything of unseg's: seconds, and "
        "the file's size.",
        _codecs(run),
        *_long(run),
        *([] if runtimes is None else _runtimes(runtimes)),
        "## What a million images cost",
        _costs(run),
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
    if "note" in run:
        text += f"\n\n*{run['note']}*"
    return text


def _cases(run: dict[str, Any]) -> str:
    rows = [
        [
            _size(case), case["format"], FOUND[case["masks"]], _seconds(case["alone_wall"]),
            _seconds(case["row_wall"]), _seconds(case["row_cpu"]), f"{case['bytes'] / 1e6:.1f} MB",
        ]
        for case in run["cases"]
    ]  # fmt: skip
    head = ["photograph", "format", "masks", "seconds alone", "in a row", "of processor", "file"]
    return table(head, rows)


FOUND = {"given": "given", "salient": "found", "proposed": "proposed"}
"""Where the masks of a case come from, in a word."""


def _targets(run: dict[str, Any]) -> str:
    """The largest photograph against Pillow's own work on it; a small one against the network."""
    lines = [
        f"From the command to its first photograph of 1024 x 768: {_seconds(run['start'])} s, of "
        "which importing torch is the most."
    ]
    largest = max(run["codecs"], key=lambda one: one["size"][0] * one["size"][1])
    spent = largest["seconds"]
    pillow = spent["Pillow JPEG decode"]["median"] + spent["Pillow PNG, its default"]["median"]
    for case in run["cases"]:
        if case["masks"] != "given" or case["format"] != "png":
            continue
        if case["size"] == largest["size"]:
            ratio = case["row_wall"]["median"] / pillow
            lines.append(
                f"Pillow's JPEG decoder and PNG encoder (its default) alone take {pillow:.2f} s on "
                f"the photograph of {_size(largest)}: all of the above, to PNG, takes {ratio:.2f} "
                "times as long."
            )
        if max(case["size"]) == 1024:
            network = run["network"]["seconds"]["median"]
            ratio = case["row_wall"]["median"] / network
            lines.append(
                f"The photograph of {_size(case)} to PNG takes {ratio:.2f} times the network's "
                "time in a row."
            )
    return " ".join(lines)


def _stages(case: dict[str, Any]) -> str:
    rows = [
        [name, _seconds(one["wall"]), _seconds(one["cpu"])] for name, one in case["stages"].items()
    ]
    head = [f"{_size(case)}, {case['format']}", "seconds", "of processor"]
    return table(head, rows)


def _limits(run: dict[str, Any]) -> str:
    limits, network, reference = run["limits"], run["network"], run["reference"]
    rate = limits["gemm_gflops"]["median"] * 1e9
    rows = [
        ["product of matrices, float32", f"{_range(limits['gemm_gflops'], '.0f')} GFLOP/s"],
        ["copying memory, one thread", f"{_range(limits['copy_gb_per_s'], '.1f')} GB/s"],
    ]
    known = [("the network", network)]
    known += [] if reference is None else [("ViT-B's encoder", reference)]
    for name, one in known:
        least, spent = one["flops"] / rate, one["seconds"]["median"]
        rows += [
            [f"operations of {name} on an image", f"{one['flops'] / 1e9:.1f} GFLOP"],
            ["least time for these", f"{least:.3f} s"],
            [f"time of {name}", f"{_seconds(one['seconds'])} s, {spent / least:.1f} times"],
        ]
    if reference is None:
        return table(["limit", "measured"], rows)
    times = reference["seconds"]["median"] / network["seconds"]["median"]
    return table(["limit", "measured"], rows) + (
        "\n\nViT-B's encoder at 1024 pixels, with random weights, stands for a generator of the "
        f"reference's size: it takes {times:.0f} times as long as the whole of this network."
    )


def _batches(run: dict[str, Any]) -> list[str]:
    """The network on several images at once."""
    rows = [
        [
            str(one["batch"]), "bfloat16" if one["half"] else "float32", _seconds(one["seconds"]),
            f"{1 / one['seconds']['median']:.1f}", f"{one['same_sign']:.2%}",
        ]
        for one in run["batches"]
    ]  # fmt: skip
    if not rows:
        return []
    head = ["images at once", "encoder", "seconds an image", "images a second", "same sign"]
    return ["The network on several images at once:", table(head, rows)]


def _codecs(run: dict[str, Any]) -> str:
    names = list(run["codecs"][0]["seconds"])
    rows = [
        [name, *(
            f"{_seconds(one['seconds'][name])}, {one['bytes'][name] / 1e6:.2f} MB"
            for one in run["codecs"]
        )]
        for name in names
    ]  # fmt: skip
    return table(["seconds", *(_size(one) for one in run["codecs"])], rows)


def _long(run: dict[str, Any]) -> list[str]:
    """A long run: whether pace and memory last."""
    found = run["long"]
    if found is None:
        return []
    notes = found["notes"]
    rows = [
        [
            str(note["images"]), f"{note['wall']:.3f}", f"{note['cpu']:.3f}",
            "" if note["memory_mb"] is None else f"{note['memory_mb']} MB",
        ]
        for note in notes
    ]  # fmt: skip
    words = f"Images of {_size(found)}, one folder of {found['images']}, noted now and then."
    if len(notes) > 1:
        change = notes[-1]["wall"] / notes[0]["wall"] - 1
        words += f" The last part took {change:+.1%} of the first one's time an image."
    head = ["images so far", "seconds an image", "of processor", "memory in use"]
    return ["## A long run", words, table(head, rows)]


def _runtimes(found: dict[str, Any]) -> list[str]:
    """Other runtimes and number formats against float32 in torch."""
    rows = []
    for one in found["rows"]:
        row = [one["runtime"], str(one["threads"])]
        if "failed" in one:
            rows.append([*row, f"failed: {one['failed']}".replace("|", "/"), "", "", ""])
            continue
        wall, cpu = (one[n] / one[f"float32_{n}"] for n in ("seconds", "cpu"))
        rows.append(
            [
                *row,
                f"{wall:.2f}",
                f"{cpu:.2f}",
                f"{one['same_sign']:.2%}",
                f"{one['first_seconds']:.1f}",
            ]
        )
    return [
        "## Other runtimes and number formats",
        "Time of network and drawing on an image of 1024 x 768, as a share of float32 in torch, "
        "measured in turns with it; and how many signs of the noise inside the mask are the same. "
        f"The machine had {found['load']:.0f} processes that wanted to run, so seconds of "
        "processor say more than those that went by. Written by `python scripts/runtimes.py -o "
        "docs/runtimes.json`.",
        table(
            ["runtime", "threads", "seconds", "of processor", "same sign", "seconds to the first"],
            rows,
        ),
        "float32 in torch is what ships. Processors without instructions for bfloat16 work it out "
        "with others, which takes longer.",
    ]


#: Assumed prices, US dollars an hour: a machine of two processors, and one with a GPU and eight;
#: operations a second that the GPU does of the network's.
CPU_PRICE, GPU_PRICE, GPU_CORES, GPU_RATE = 0.08, 1.20, 8, 15e12


def _costs(run: dict[str, Any]) -> str:
    """Worked out from the run and assumed prices."""
    rows = []
    for case in run["cases"]:
        if case["masks"] != "given":
            continue
        hours = case["row_wall"]["median"] * 1e6 / 3600
        rest = max(0.0, case["row_cpu"]["median"] - _network_cpu(run))
        each = max(run["network"]["flops"] / GPU_RATE, rest / GPU_CORES)
        with_gpu = each * 1e6 / 3600
        rows.append([
            f"{_size(case)}, {case['format']}", f"{hours:.0f}", f"{hours * CPU_PRICE:.0f} USD",
            f"{with_gpu:.1f}", f"{with_gpu * GPU_PRICE:.0f} USD",
        ])  # fmt: skip
    head = ["a million of", "hours, this machine", "cost", "hours, with a GPU", "cost"]
    return (
        f"Worked out, with assumed prices: {CPU_PRICE:.2f} USD an hour for two processors as "
        f"here, {GPU_PRICE:.2f} USD for a GPU with {GPU_CORES} processors. The GPU was not "
        f"measured: it is taken to do {GPU_RATE / 1e12:.0f} TFLOP/s of the network, which is far "
        "from the limit, as reading, judging and writing stay on the processors: their seconds "
        "of the run, shared among them.\n\n" + table(head, rows)
    )


def _network_cpu(run: dict[str, Any]) -> float:
    return float(run["network"]["seconds"]["median"] * run["machine"]["torch_threads"])


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
