"""The one table of the README: a row a task, from result files alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from unseg.errors import UnsegError
from unseg.report.failures import POINT
from unseg.report.summary import CLEAN, NO_DEFENCE, STRIPES, Series, grouped, unique
from unseg.report.tables import per_cent, seen

if TYPE_CHECKING:
    from unseg.evaluate.suites import Suite

COMMAND = "unseg report docs/results/real --readme README.md"
START = f"<!-- table: {COMMAND} -->"
END = "<!-- /table -->"

OURS = ("unseg", "unseg-tint", "unseg-class", "unseg-instance")
"""Ours from the owner's masks: the first of them that ran is shown."""
HEAD = (
    "task (figure)", "victim", "clean", "random", "best hand-made", "hand-made, same limit",
    "ours", "ours keeps",
)  # fmt: skip
SUITE = "real"
"""The suite whose runs the table is of."""
LARGER = "gpu"
"""The same tasks and victims in another size, whose runs may lie beside them."""
SEEDS = 3
"""How many every figure is to have."""
NOTHING = "-"
"""In the place of what did not run; a column of nothing else is left out."""


def readme_table(entries: Sequence[Series]) -> str:
    """One row a task, of what ran: a victim, clean and under three noises; then what did not run.

    Shown are runs on the test part, without a defence, at the standard budget, of victims that
    reach their task's floor. Best is the hand-made noise that leaves least, of the whole bound;
    behind every noise stands how far it is seen, and behind what ours keeps, what it keeps of the
    other victims.

    Args:
        entries: joined results.

    Returns:
        Markdown, ending in a newline: the table, and sentences on where hand-made waves at the same
        limit on what is seen do as well, and on what is missing of the suite.
    """
    shown = [e for e in entries if _plain(e)]
    rows = []
    for task, group in grouped(shown, lambda e: e.task).items():
        victims = grouped(group, lambda e: e.victim)
        order = _victims(task)
        names = sorted(victims, key=lambda one: _rank(victims[one], order), reverse=True)
        row = _cells([victims[name] for name in names])
        rows += [row] if row else []
    columns = [[HEAD[i], *(row[i] for row in rows)] for i in range(len(HEAD))]
    kept = [column for column in columns if not rows or set(column[1:]) != {NOTHING}]
    head, *body = zip(*kept, strict=True)
    lines = [_row(head), "|---" * len(head) + "|", *map(_row, body)]
    said = " ".join(filter(None, (_nothing_gained(shown), not_run(entries))))
    return "\n".join(lines) + "\n" + (f"\n{said}\n" if said else "")


def not_run(entries: Sequence[Series]) -> str:
    """What the suite asks of every victim and did not run yet, or in vain, in a few sentences.

    Args:
        entries: joined results.

    Returns:
        Plain text; empty where nothing is missing.
    """
    wanted = {
        (c.task, c.victim.name, c.condition): c
        for c in _suite().cells()
        if c.defence == NO_DEFENCE and c.condition in (CLEAN, "random", STRIPES, *OURS)
    }
    entries = [e for e in entries if e.part == "test" and e.defence == NO_DEFENCE and _own(e)]
    ran = {
        (e.task, e.runs[0].named("victim"), e.condition): len(e.runs)
        for e in entries
        if e.label == e.condition
    }
    tasks = [one for one in unique(task for task, *_ in wanted) if one not in {k[0] for k in ran}]
    pairs = unique(key[:2] for key in wanted if key[0] not in tasks)
    victims = [pair for pair in pairs if pair not in {key[:2] for key in ran}]
    single = [key for key in wanted if key in ran and ran[key] < SEEDS]
    lost = [k for k in wanted if k not in ran and k[0] not in tasks and k[:2] not in victims]
    noises = grouped(lost, lambda key: "ours" if key[2] in OURS else key[2])
    parts = [
        *([", ".join(tasks)] if tasks else []),
        *(
            f"{name} ({', '.join(task for task, _ in own)})"
            for name, own in grouped(victims, lambda pair: pair[1]).items()
        ),
        *(f"{noise} ({', '.join(_places(keys))})" for noise, keys in noises.items()),
    ]
    said = [f"Not run: {'; '.join(parts)}."] if parts else []
    if single:
        many = sum(key in ran for key in wanted)
        few = f"{len(single)} of {many}" if len(single) < many else "All"
        said.append(f"{few} figures have fewer than {SEEDS} seeds.")
    cleaned = [e for e in entries if e.condition == CLEAN]
    useless = unique(f"{e.task} ({e.victim})" for e in cleaned if not e.measurable)
    if useless:
        said.append(f"Below their floor after clean training: {', '.join(useless)}.")
    return " ".join(said)


def inserted(text: str, table: str) -> str:
    """A text with the table between its markers.

    Raises:
        UnsegError: when the markers are not there, each once and in this order.

    Example:
        >>> inserted(f"a {START} old {END} b", "new ") == f"a {START}\\nnew {END} b"
        True
    """
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end) or text.count(START) != 1:
        raise UnsegError(
            f"no place for the table: expected a line {START} and, below it, a line {END}"
        )
    return f"{before}{START}\n{table}{END}{after}"


def _plain(entry: Series) -> bool:
    return (
        entry.part == "test"
        and entry.defence == NO_DEFENCE
        and entry.standard
        and entry.measurable
        and entry.label == entry.condition
        and _own(entry)
    )


def _own(entry: Series) -> bool:
    """Whether a victim is not one of the larger suite."""
    from unseg.evaluate.suites import SUITES

    victim = entry.runs[0].config["victim"]
    return not any(
        cell.task == entry.task
        and cell.victim.name == victim["name"]
        and all(victim.get(k) == v for k, v in cell.victim.settings if k in ("size", "steps"))
        for cell in SUITES[LARGER].cells()
    )


def _suite() -> Suite:
    from unseg.evaluate.suites import SUITES

    return SUITES[SUITE]


def _nothing_gained(shown: Sequence[Series]) -> str:
    """Where hand-made waves at the same limit leave no more, or hardly more, than ours."""
    found = []
    for (task, victim), group in grouped(shown, lambda e: (e.task, e.victim)).items():
        ours, waves = _ours(group), next((e for e in group if e.condition == STRIPES), None)
        if ours and waves and (waves.retention or 0) - (ours.retention or 0) < POINT:
            found.append(f"{task} ({victim})")
    return f"Hand-made waves do as well or better: {', '.join(found)}." if found else ""


def _victims(task: str) -> list[str]:
    """The suite's victims of a task, the main one first."""
    return unique(cell.victim.name for cell in _suite().cells() if cell.task == task)


def _places(keys: Sequence[tuple[str, str, str]]) -> list[str]:
    """Tasks, with the victim where a task has several of which only some are meant."""
    return [
        task if len(names) == len(_victims(task)) else f"{task} {' '.join(names)}"
        for task, names in (
            (task, [victim for _, victim, _ in mine])
            for task, mine in grouped(keys, lambda key: key[0]).items()
        )
    ]


def _rank(group: Sequence[Series], order: Sequence[str]) -> tuple[bool, int, int]:
    """Which victim has the row: one that met ours, then most conditions, then the main one."""
    name = group[0].runs[0].named("victim")
    place = -order.index(name) if name in order else -len(order)
    return _ours(group) is not None, len(group), place


def _ours(group: Sequence[Series]) -> Series | None:
    by_name = {entry.condition: entry for entry in group}
    return next((by_name[name] for name in OURS if name in by_name), None)


def _cells(groups: Sequence[Sequence[Series]]) -> list[str] | None:
    """The cells of one task, its victims in order; None where no noise met the first of them."""
    group, *others = groups
    by_name = {entry.condition: entry for entry in group}
    clean, ours = by_name.get(CLEAN), _ours(group)
    if clean is None or len(by_name) == 1:
        return None
    made = [e for e in group if not (e.ours or e.frontier or e.condition in (CLEAN, "random"))]
    best = min(made, key=lambda e: e.mean, default=None)
    kept = [one for one in map(_ours, (group, *others)) if one is not None]
    return [
        f"{clean.task} ({clean.metric})", clean.attacker, f"{clean.mean:.3f}",
        _figure(by_name.get("random")), _figure(best, named=True), _figure(by_name.get(STRIPES)),
        _figure(ours, named=True),
        ", ".join(_kept(one, named=one is not ours) for one in kept) or NOTHING,
    ]  # fmt: skip


def _kept(entry: Series, *, named: bool) -> str:
    share = per_cent(entry.retention) if entry.retention is not None else NOTHING
    return f"{share} ({entry.victim})" if named else share


def _figure(entry: Series | None, *, named: bool = False) -> str:
    if entry is None:
        return NOTHING
    return f"{entry.mean:.3f}" + (f" ({entry.condition})" if named else "") + seen(entry)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
