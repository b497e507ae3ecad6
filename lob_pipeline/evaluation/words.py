"""The certificate in words: what was proved about a day's book, what was not, and why it holds or does not."""

from __future__ import annotations

from typing import Any

from lob_pipeline.book.certificate import TRADE_TOUCH_SHARE

_NOT_CHECKED = {
    "top_of_book_match": "the venue's own best bid and ask",
    "trade_touch_match": "trades against the touch",
    "closing_snapshot_match": "the file's closing snapshot",
    "boundary_match": "the neighbouring day's book at midnight",
}
# checks that have a sentence of their own here
_IN_WORDS = (*_NOT_CHECKED, "checksum_match", "never_crossed", "some_row_valid", "certificate")


def certificate_words(certificate: dict[str, Any]) -> dict[str, Any]:
    """Return ``holds``, ``headline`` and the lists ``proved``, ``against``, ``not_checked`` of a book certificate."""
    proved, against, touch = _matches(certificate)
    rows, crossed = certificate["rows"], certificate["crossed"]
    if crossed:
        against.append(f"{crossed:,} messages left the book crossed")
    elif rows:
        proved.append(f"the best bid was below the best ask in every one of {rows:,} rows that count")
    if certificate["unbridged_snapshots"]:
        count = certificate["unbridged_snapshots"]
        against.append(f"{count} snapshot{_s(count)} that the stream never bridged")
    if not rows:
        against.append("there is no row at all")
    against += [
        f"{check['name']}: {check['message'] or 'refused'}"
        for check in certificate.get("checks", ())
        if check["status"] == "refused" and check["severity"] == "gate" and check["name"] not in _IN_WORDS
    ]
    missing = [words for name, words in _NOT_CHECKED.items() if certificate.get(name) is None]
    holds = bool(certificate["holds"])
    if touch:
        (against if _touch_refused(certificate) else proved).append(touch)
    return {
        "holds": holds,
        "headline": _headline(holds, certificate, against),
        "proved": proved,
        "against": against,
        "not_checked": missing,
    }


def _touch_refused(certificate: dict[str, Any]) -> bool:
    """Whether the share of trades at the touch spoke against the book: by its check, which knows the venue's bound."""
    for check in certificate.get("checks", ()):
        if check["name"] == "trade_touch_match":
            return bool(check["status"] == "refused")
    match = certificate["trade_touch_match"]
    return bool(match["agree"] < TRADE_TOUCH_SHARE * match["compared"])


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def _matches(certificate: dict[str, Any]) -> tuple[list[str], list[str], str]:
    proved: list[str] = []
    against: list[str] = []
    text = ""
    quotes = certificate.get("top_of_book_match")
    if quotes is not None:
        equal = f"best bid and ask equal the venue's own in {quotes['equal']:,} of {quotes['compared']:,} comparisons"
        (proved if quotes["equal"] == quotes["compared"] else against).append(equal)
    depths = certificate.get("depth_agreement")
    if depths is not None and depths["equal"] == depths["compared"]:  # else its check says what differs
        proved.append(f"another depth of the book shows the same best bid and ask in {depths['compared']:,} messages")
    touch = certificate.get("trade_touch_match")
    if touch is not None:
        share = touch["agree"] / touch["compared"] if touch["compared"] else 0.0
        text = f"{touch['agree']:,} of {touch['compared']:,} trades ({share:.1%}) lie on their side of the touch"
    checksums = certificate.get("checksum_match")
    if checksums is not None:
        equal = f"the venue's own checksum matches in {checksums['equal']:,} of {checksums['compared']:,} updates"
        (proved if checksums["equal"] == checksums["compared"] else against).append(equal)
    for name, good, bad in (
        ("closing_snapshot_match", "the rebuilt book equals the closing snapshot", "differs from the closing snapshot"),
        ("boundary_match", "the book at midnight equals the neighbouring day's", "differs from the neighbouring day's"),
    ):
        if certificate.get(name) is not None:
            (proved if certificate[name] else against).append(good if certificate[name] else f"the book {bad}")
    return proved, against, text


def _headline(holds: bool, certificate: dict[str, Any], against: list[str]) -> str:
    if not holds:
        return "Does not hold: " + ("; ".join(against) if against else "see the table below") + "."
    gaps = len(certificate["gaps"])
    if not gaps:
        return "Holds: the chain of updates is unbroken and no check speaks against the book."
    seconds = certificate["invalid_ns"] / 1e9
    return (
        f"Holds outside {gaps} gap{_s(gaps)}: {seconds:,.1f} s are marked invalid and used by nothing downstream; "
        f"{certificate['coverage']:.2%} of the time is covered."
    )
