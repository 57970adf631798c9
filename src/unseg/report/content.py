"""What the report says, before it is a page or Markdown: tables and sentences from results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from unseg.report.summary import (
    CLEAN,
    NO_DEFENCE,
    Series,
    grouped,
    in_condition_order,
    unique,
)
from unseg.report.tables import per_cent, seen, spread

GAP = "-"
COUNTS = ("targets",)
"""What tasks count beside their figures: no share of it can be left."""


@dataclass(frozen=True)
class TableCell:
    """A cell of a table.

    Args:
        text: what it says.
        left: the retention to be read, if there is one.
        share: the retention that colours it, 0..1.
        quiet: whether it measures nothing or did not run.
    """

    text: str
    left: str = ""
    share: float | None = None
    quiet: bool = False

    def __str__(self) -> str:
        return f"{self.text} ({self.left})" if self.left else self.text


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        title: what it shows.
        corner: heading of the rows' names.
        columns: headings.
        rows: (name, cells).
        notes: sentences below it.
    """

    title: str
    corner: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[TableCell]]]
    notes: Sequence[str] = ()


def cell_of(entry: Series | None) -> TableCell:
    """The metric, its spread and its retention."""
    if entry is None:
        return TableCell(GAP, quiet=True)
    share = entry.retention if entry.condition != CLEAN and entry.measurable else None
    left = "" if entry.retention is None else per_cent(entry.retention) + seen(entry)
    below = entry.clean is not None and not entry.measurable
    return TableCell(spread(entry.values), left, share, quiet=below)


def grid(
    title: str,
    corner: str,
    entries: Sequence[Series],
    row: Callable[[Series], str],
    column: Callable[[Series], str],
    notes: Sequence[str] = (),
    columns: Sequence[str] = (),
) -> Table:
    """A table of results by two of their names, conditions in their own order."""
    found = {(row(e), column(e)): e for e in entries}
    names, columns = _names(entries, row), columns or _names(entries, column)
    rows = [(name, [cell_of(found.get((name, other))) for other in columns]) for name in names]
    return Table(title, corner, columns, rows, notes)


def _names(entries: Sequence[Series], name: Callable[[Series], str]) -> list[str]:
    # Where names are those of conditions, the order must not depend on what ran for the first
    # task or victim.
    if all(name(e) in (e.condition, e.label) for e in entries):
        entries = in_condition_order(entries)
    return unique(map(name, entries))


def overview(entries: Sequence[Series]) -> Table:
    """Tasks and victims by the conditions that ran without a defence at the standard budget."""
    shown = [
        e for e in entries if e.defence == NO_DEFENCE and e.standard and e.label == e.condition
    ]
    return grid(
        "Tasks, victims and conditions", "task, victim", shown,
        lambda e: f"{e.heading}, {e.attacker}", lambda e: e.condition,
    )  # fmt: skip


def floor_note(entry: Series) -> str:
    """Why a victim measures nothing."""
    return (
        f"{entry.task}, {entry.victim}: not measurable here, clean training reaches "
        f"{entry.clean:.3f} and the floor is {entry.floor:.2f}."
    )


def task_tables(entries: Sequence[Series]) -> Iterator[Table]:
    """All results of one task.

    Args:
        entries: of one task and part.
    """
    plain = [e for e in entries if e.defence == NO_DEFENCE and e.share is None]
    notes = [floor_note(e) for e in plain if e.condition == CLEAN and not e.measurable]
    if plain:
        yield grid(
            f"{entries[0].metric} by condition", "training images", plain,
            lambda e: e.label, lambda e: e.attacker, notes,
        )  # fmt: skip
    for victim, group in grouped(
        [e for e in plain if e.klass is None], lambda e: e.attacker
    ).items():
        yield from _other_figures(victim, group)
    defended = [e for e in entries if e.defence != NO_DEFENCE]
    met = {(e.victim, e.label) for e in defended}
    if met:
        both = [e for e in plain if (e.victim, e.label) in met] + defended
        yield grid(
            f"{entries[0].metric} under defences", "defence", both,
            lambda e: e.defence, lambda e: f"{e.victim}, {e.label}",
        )  # fmt: skip
    mixed = [e for e in entries if e.share is not None and e.defence == NO_DEFENCE]
    if mixed:
        yield _mixing(entries[0].metric, mixed, plain)
    for entry in plain:
        table = _one_class(entry, plain)
        if table is not None:
            yield table


def _mixing(metric: str, mixed: Sequence[Series], plain: Sequence[Series]) -> Table:
    bases = unique((e.victim, e.inner) for e in mixed)
    ends = [
        e
        for e in plain
        if (e.victim, e.label) in bases
        or (e.condition == CLEAN and e.victim in {victim for victim, _ in bases})
    ]

    def column(entry: Series) -> str:
        inner = entry.inner or entry.label
        return f"{entry.victim}, " + ("the clean rest alone" if inner == CLEAN else inner)

    ordered = sorted([*ends, *mixed], key=lambda e: e.protected_share)
    return grid(
        f"{metric} of mixed training sets", "protected", ordered,
        lambda e: f"{100 * e.protected_share:g}%", column,
        columns=sorted(unique(map(column, ordered)), key=lambda name: name.endswith("alone")),
    )  # fmt: skip


def _other_figures(victim: str, group: Sequence[Series]) -> Iterator[Table]:
    """What a task measures beside its metric: other figures of the whole, and class by class.

    A mean hides which class has fallen.
    """
    clean = next((e for e in group if e.condition == CLEAN and e.measurable), None)
    if clean is None:
        return
    scores = clean.runs[0].scores
    whole = [n for n in scores if "/" not in n and n not in (clean.metric, *COUNTS)]
    classes = [n for n in scores if "/" in n]
    if whole:
        yield _figures(f"Other figures: {victim}", "figure", whole, clean, group)
    if len(classes) > 1:
        title = f"{classes[0].partition('/')[0]} of every class: {victim}"
        yield _figures(title, "class", classes, clean, group)


def _figures(
    title: str, corner: str, names: Sequence[str], clean: Series, group: Sequence[Series]
) -> Table:
    """Figures by condition, with what is left of each after clean training."""

    def cell(entry: Series, name: str) -> TableCell:
        value, before = entry.score(name), clean.score(name)
        if value is None:
            return TableCell(GAP, quiet=True)
        share = value / before if before and entry is not clean else None
        return TableCell(f"{value:.3f}", "" if share is None else per_cent(share), share)

    ordered = in_condition_order(group)
    rows = [(name.partition("/")[2] or name, [cell(e, name) for e in ordered]) for name in names]
    return Table(title, corner, [e.label for e in ordered], rows)


def _one_class(entry: Series, plain: Sequence[Series]) -> Table | None:
    """How the protected class falls, beside the others."""
    klass = entry.klass
    clean = next((e for e in plain if e.victim == entry.victim and e.condition == CLEAN), None)
    if klass is None or clean is None:
        return None
    names = [name for name in entry.runs[0].scores if "/" in name]
    own = [name for name in names if name.partition("/")[2].lower() == klass.lower()]
    if not own:
        return None
    prefix = own[0].partition("/")[0]
    others = [name for name in names if name.startswith(f"{prefix}/") and name not in own]

    def row(scores: Sequence[str]) -> list[TableCell]:
        before, after = (
            sum(e.score(name) or 0.0 for name in scores) / len(scores) for e in (clean, entry)
        )
        share = after / before if before else None
        left = "" if share is None else per_cent(share)
        return [TableCell(f"{before:.3f}"), TableCell(f"{after:.3f}", left, share)]

    rows = [(klass, row(own))]
    if others:
        rows.append(("mean of the others", row(others)))
    return Table(
        f"{prefix} with {klass} alone protected: {entry.victim}, {entry.label}", "class",
        ["clean", entry.label], rows,
    )  # fmt: skip


def by_task(entries: Sequence[Series]) -> dict[str, list[Series]]:
    """Results of each task and part."""
    return grouped(entries, lambda e: e.heading)
