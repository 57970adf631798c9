"""Where protection fails, said by the figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from unseg.report.content import floor_note
from unseg.report.summary import CLEAN, FAILS, NO_DEFENCE, OURS, Series, grouped
from unseg.report.tables import per_cent, seen

POINT = 0.01
"""Smaller differences of retention are told by the tables alone."""


@dataclass(frozen=True)
class Failure:
    """Where protection fails, or a baseline does better.

    Args:
        where: task and victim.
        what: a sentence with the figures.
    """

    where: str
    what: str


def failures(entries: Sequence[Series]) -> list[Failure]:
    """What the figures say against us; victims that measure nothing are left out."""
    found: list[Failure] = []
    measured = [e for e in entries if e.measurable and e.retention is not None]
    for where, group in grouped(measured, lambda e: f"{e.heading}, {e.victim}").items():
        for told in (_undefended, _beaten, _nothing_learned, _given_back, _taught):
            found += [Failure(where, sentence) for sentence in told(group)]
    return found


def not_measurable(entries: Sequence[Series]) -> list[str]:
    """Victims whose clean training stays below the floor, or did not run."""
    groups = grouped([e for e in entries if not e.measurable], lambda e: (e.heading, e.victim))
    return [
        floor_note(group[0])
        if group[0].clean is not None
        else f"{heading}, {victim}: clean training has not run yet, so there is no retention."
        for (heading, victim), group in groups.items()
    ]


def _share(entry: Series) -> str:
    assert entry.retention is not None and entry.clean is not None
    return f"{per_cent(entry.retention)}{seen(entry)} ({entry.mean:.3f} of {entry.clean:.3f})"


def _undefended(group: Sequence[Series]) -> Iterator[str]:
    for entry in group:
        whole = entry.ours and entry.standard and entry.defence == NO_DEFENCE
        if whole and (entry.retention or 0) > FAILS:
            yield f"{entry.label} leaves {_share(entry)} of {entry.metric}."


def _beaten(group: Sequence[Series]) -> Iterator[str]:
    plain = [e for e in _undefended_noise(group) if not e.frontier]
    for rivals in grouped(plain, lambda e: e.budget).values():
        ours = [e for e in rivals if e.ours]
        if not ours:
            continue
        best = min(ours, key=lambda e: e.mean)
        for rival in rivals:
            if not rival.ours and (best.retention or 0) - (rival.retention or 0) > POINT:
                yield (
                    f"The baseline {rival.label} leaves {_share(rival)}, less than the best of "
                    f"ours, {best.label} with {_share(best)}."
                )


def _nothing_learned(group: Sequence[Series]) -> Iterator[str]:
    """Where hand-made waves that are as hard to see do as well as what was learned."""
    for rivals in grouped(_undefended_noise(group), lambda e: (e.budget, e.level)).values():
        ours, waves = [e for e in rivals if e.ours], [e for e in rivals if e.frontier]
        if not (ours and waves):
            continue
        best, rival = (min(some, key=lambda e: e.mean) for some in (ours, waves))
        if (rival.retention or 0) - (best.retention or 0) < POINT:
            yield (
                f"At the visibility {best.level}, hand-made {rival.label} leave {_share(rival)} "
                f"and the best of ours, {best.label}, {_share(best)}: the generator adds nothing."
            )


def _undefended_noise(group: Sequence[Series]) -> list[Series]:
    return [e for e in group if e.standard and e.defence == NO_DEFENCE and e.condition != CLEAN]


def _given_back(group: Sequence[Series]) -> Iterator[str]:
    ours = [e for e in group if e.ours and e.standard]
    for label, own in grouped(ours, lambda e: e.label).items():
        without = next((e for e in own if e.defence == NO_DEFENCE), None)
        back = [
            e
            for e in own
            if e.defence != NO_DEFENCE
            and (e.retention or 0) > FAILS
            and (without is None or e.mean > without.mean)
        ]
        if back:
            listed = ", ".join(
                f"{e.defence} {per_cent(e.retention or 0)}"
                for e in sorted(back, key=lambda e: -e.mean)
            )
            base = "" if without is None else f" (without: {per_cent(without.retention or 0)})"
            yield f"Defences that leave more than half with {label}{base}: {listed}."


def _taught(group: Sequence[Series]) -> Iterator[str]:
    mixed = [e for e in group if e.share is not None and e.defence == NO_DEFENCE]
    alone = {e.protected_share: e for e in mixed if e.inner == CLEAN}
    taught = [
        (e, alone[e.protected_share])
        for e in mixed
        if (e.inner or "").startswith(OURS)
        and e.protected_share in alone
        and (e.retention or 0) - (alone[e.protected_share].retention or 0) > POINT
    ]
    if taught:
        listed = ", ".join(
            f"{100 * mix.protected_share:g}%: {mix.mean:.3f} and {rest.mean:.3f}"
            for mix, rest in taught
        )
        yield (
            "Mixed with clean images, protected ones still taught the victim: a mixed set reaches "
            f"more than its clean rest alone ({listed})."
        )
