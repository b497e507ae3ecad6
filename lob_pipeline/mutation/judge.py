"""Was a mutant killed? Decided from what the pipeline said and published, beside the same for the clean recording.

Killed: the files are refused with a clear error, a gate refuses, a certificate does not hold; or the certificate shows
the damage (gap, late message, restart, rows before the first snapshot, a hole in the trade ids) and everything that was
published as valid equals the clean recording's. Equivalent: every valid row and every trade is the clean one's, so
there is nothing to catch. Everything else survived.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from lob_pipeline.mutation.trial import Outcome, Said

KILLED, EQUIVALENT, SURVIVED = "killed", "equivalent", "survived"
SHOWN = {  # key of the certificate -> the check it is the finding of
    "gaps": "update_chain",
    "resets": "resets",
    "late_messages": "late_messages",
    "unbridged_snapshots": "bridge",
    "trade_id_gaps": "trade_id_gaps",
    "invalid_ns": "masked_rows",
}
_LEVELS = ("bid_ticks_", "bid_lots_", "ask_ticks_", "ask_lots_")


@dataclass(frozen=True)
class Judgement:
    """``fate``, the named check behind it, how it spoke (``refused``, ``masked``), and its own words."""

    fate: str
    check: str = ""
    how: str = ""
    words: str = ""


def judge(mutant: Outcome, clean: Outcome) -> Judgement:
    """Return the fate of a mutant. Raises nothing."""
    if mutant.crash:
        return Judgement(SURVIVED, "", "crash", mutant.crash.strip().splitlines()[-1])
    hollow = [s.name for s in mutant.said if s.status == "passed" and s.judged == 0 and _judged(clean, s) > 0]
    if hollow:
        return Judgement(SURVIVED, "", f"{hollow[0]} passed on no row")
    refused = _refused(mutant)
    if refused is not None:
        return refused
    if digest(mutant) == digest(clean):
        return Judgement(EQUIVALENT)
    wrong = _wrong(mutant, clean)
    shown = _shown(mutant, clean)
    if not wrong and shown:
        return Judgement(KILLED, shown[0][0], "masked", shown[0][1])
    barred = [s.name for s in mutant.said if s.status == "not_judged" and _status(clean, s) == "passed"]
    if not wrong and barred and not _rows_lost(mutant, clean):
        return Judgement(KILLED, barred[0], "not judged", "published, barred from training")
    if not wrong and _rows_lost(mutant, clean):
        wrong = "rows are missing and nothing says so"
    return Judgement(SURVIVED, "", wrong or "closing times, flow columns or trades differ")


def _same(outcome: Outcome, said: Said) -> Said | None:
    """Return what the same check of the same partition said in another outcome."""
    there = (s for s in outcome.said if (s.table, s.date, s.name) == (said.table, said.date, said.name))
    return next(there, None)


def _status(outcome: Outcome, said: Said) -> str:
    there = _same(outcome, said)
    return there.status if there else ""


def _judged(outcome: Outcome, said: Said) -> int:
    there = _same(outcome, said)
    return there.judged if there else 0


def _rows_lost(mutant: Outcome, clean: Outcome) -> bool:
    """Return whether book rows of the clean recording are not there, valid, in the mutant's."""
    return any(
        int(rows["valid"].sum()) > int(mutant.books[date]["valid"].sum() if date in mutant.books else 0)
        for date, rows in clean.books.items()
    )


def _refused(outcome: Outcome) -> Judgement | None:
    if outcome.error is not None:
        return Judgement(KILLED, "ingest", "refused", outcome.error[1])
    gates = outcome.refusals
    if gates:
        first = next((g for g in gates if g.name != "certificate"), gates[0])
        return Judgement(KILLED, first.name, "refused", first.message)
    loose = [date for date, c in outcome.certificates.items() if not c.get("holds")]
    return Judgement(KILLED, "certificate", "refused", f"does not hold on {loose[0]}") if loose else None


def false_alarm(outcome: Outcome) -> Judgement | None:
    """Return what refused a clean recording, None when everything passed or was not judged."""
    if outcome.crash:
        return Judgement(KILLED, "crash", "refused", outcome.crash.strip().splitlines()[-1])
    return _refused(outcome)


def digest(outcome: Outcome) -> str:
    """Return a SHA-256 over every valid row of the published books and every published trade.

    Columns that only tell where in the merged input a trade stood (``order``) are left out.
    """
    total = hashlib.sha256()
    for date in sorted(outcome.books):
        columns = outcome.books[date]
        valid = columns["valid"]
        for name, values in columns.items():
            total.update(f"{date}/{name}".encode())
            total.update(np.ascontiguousarray(values[valid]).tobytes())
    for date in sorted(outcome.trades):
        for name, values in outcome.trades[date].items():
            if name != "order":
                total.update(f"{date}/{name}".encode())
                total.update(repr(values.tolist()).encode())
    return total.hexdigest()


def _wrong(mutant: Outcome, clean: Outcome) -> str:
    """Return what was published as valid and is not the clean recording's, empty when nothing.

    Of rows only the levels count: where a message is lost, another one closes the row before it and the flow of the row
    behind it starts anew.
    """
    for date, rows in mutant.books.items():
        if date not in clean.books:
            if rows["valid"].any():
                return f"valid book rows on {date}, where the clean recording has none"
            continue
        good = clean.books[date]
        seen, known = rows["valid"], good["valid"]
        at = np.searchsorted(good["ts_ns"][known], rows["ts_ns"][seen])
        inside = at < known.sum()
        if not inside.all() or (good["ts_ns"][known][at] != rows["ts_ns"][seen]).any():
            return f"valid rows on {date} at instants that have none"
        for name in rows:
            if name.startswith(_LEVELS):
                differs = rows[name][seen] != good[name][known][at]
                if differs.any():
                    return f"{int(differs.sum())} valid rows on {date} differ in {name}"
    for date, trades in mutant.trades.items():
        there = _trade_rows(clean.trades.get(date, {}))
        extra = _trade_rows(trades) - there
        if extra:
            return f"{len(extra)} trades on {date} that the clean recording does not have"
    return ""


def _trade_rows(trades: dict[str, Any]) -> set[tuple[Any, ...]]:
    names = [n for n in trades if n != "order"]
    return set(zip(*(trades[n].tolist() for n in names), strict=True)) if names else set()


def _shown(mutant: Outcome, clean: Outcome) -> list[tuple[str, str]]:
    """Return (check, words) of what the certificates and gates show beyond the clean recording's."""
    found = []
    for date, certificate in mutant.certificates.items():
        before = clean.certificates.get(date, {})
        for key, check in SHOWN.items():
            now, was = _amount(certificate.get(key)), _amount(before.get(key))
            if now > was:
                found.append((check, f"{key} {now} on {date}, {was} before"))
        now, was = (_amount(o.extra.get(date, {}).get("dropped_messages")) for o in (mutant, clean))
        if now > was:
            found.append(("duplicates", f"dropped_messages {now} on {date}, {was} before"))
    for gate in mutant.said:
        if gate.name == "verifiable_start":
            then = [s for s in clean.said if s.name == gate.name and s.date == gate.date]
            late = int(gate.facts.get("messages_before") or 0)
            if then and late > int(then[0].facts.get("messages_before") or 0):
                found.append(("verifiable_start", gate.message))
    return found


def _amount(value: Any) -> int:
    return len(value) if isinstance(value, list) else int(value or 0)
