"""The first page: one HTML file that opens without a network, its certificate in words on top (see ``sheet``)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from typing import Any

from lob_pipeline.evaluation import figures
from lob_pipeline.evaluation.costs import STYLES
from lob_pipeline.evaluation.sheet import Sheet, bullet_list, fact
from lob_pipeline.evaluation.tables import (
    certificate_table,
    cost_table,
    feasibility_table,
    gap_table,
    instant_words,
    label_table,
)
from lob_pipeline.evaluation.words import certificate_words

_CARDS = 2


@dataclass(frozen=True)
class FirstPage:
    """What the page shows, as plain JSON types.

    ``certificates``: one entry a day, ``{"date", "certificate"}`` (shape of CONTRACT.md). ``overview``, ``costs``,
    ``feasibility``: the summaries of this package. ``source``: what was read, for the reader. ``commands``: figure →
    the command that makes it again. ``notes``: what the reader should know about this run (left out, refused, ...).
    """

    market: str
    clock: str
    certificates: list[dict[str, Any]]
    overview: dict[str, Any]
    costs: dict[str, Any]
    feasibility: dict[str, Any]
    source: list[str]
    commands: dict[str, str]
    notes: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether every day's certificate holds (and there is one)."""
        return bool(self.certificates) and all(c["certificate"]["holds"] for c in self.certificates)


def render(page: FirstPage) -> str:
    """Return the whole page as HTML text."""
    drawn = Sheet(page.commands)
    body = "\n".join(part for section in _sections(page, drawn) for part in section)
    return drawn.document(f"{page.market}, first page", body)


def _sections(page: FirstPage, drawn: Sheet) -> Iterator[list[str]]:
    yield _head(page)
    yield _cards(page)
    yield _facts(page)
    if page.overview["bins"]:
        yield _market(page, drawn)
        yield _cost(page, drawn)
        yield _feasible(page, drawn)
    if page.feasibility.get("labels"):
        yield _orders(page, drawn)
    yield _proof(page)
    yield _foot(page)


def _head(page: FirstPage) -> list[str]:
    first, last = page.overview["first_ns"], page.overview["last_ns"]
    span = "no rows" if first is None else f"{instant_words(first)} to {instant_words(last)} UTC"
    return [
        f"<header><h1>{escape(page.market)}</h1>",
        f'<p class="under">{escape(span)}, one row every {escape(page.clock)}. '
        f"{escape('; '.join(page.source))}</p></header>",
        *(f'<p class="under">{escape(note)}</p>' for note in page.notes),
    ]


def _certificate_card(entry: dict[str, Any]) -> str:
    words = certificate_words(entry["certificate"])
    missing = [f"not checked, because the recording does not carry it: {m}" for m in words["not_checked"]]
    return (
        f'<div class="card {"good" if words["holds"] else "bad"}"><div class="what">book certificate, '
        f'{escape(entry["date"])}</div><div class="headline">{escape(words["headline"])}</div><ul>'
        f"{bullet_list(words['against'], 'no')}{bullet_list(words['proved'], 'yes')}"
        f"{bullet_list(missing, 'none')}</ul></div>"
    )


def _holding_card(entries: list[dict[str, Any]]) -> str:
    """Return one card for all days that hold, a line a day."""
    if not entries:
        return ""
    lines = []
    for entry in entries:
        words = certificate_words(entry["certificate"])
        lines.append(f"{entry['date']}: {'; '.join(words['proved']) or words['headline']}")
    head = f"{len(entries)} day{'' if len(entries) == 1 else 's'} hold{'s' if len(entries) == 1 else ''}"
    return (
        f'<div class="card good"><div class="what">book certificates</div><div class="headline">{head}</div>'
        f"<ul>{bullet_list(lines, 'yes')}</ul></div>"
    )


def _cards(page: FirstPage) -> list[str]:
    parts = ['<section class="cards">']
    several = len(page.certificates) > _CARDS
    for entry in page.certificates:
        if not (several and entry["certificate"]["holds"]):
            parts.append(_certificate_card(entry))
    if several:
        parts.append(_holding_card([e for e in page.certificates if e["certificate"]["holds"]]))
    labels = page.feasibility.get("labels")
    parts.append(
        '<div class="card open"><div class="what">before any model</div>'
        f'<div class="headline">{escape(page.feasibility["sentence"])}</div>'
        + (f"<p>{escape(labels['bracket']['sentence'])}</p>" if labels else "")
        + "</div></section>"
    )
    return parts


def _facts(page: FirstPage) -> list[str]:
    over, spread = page.overview, page.costs["spread"]["quantiles_bps"]
    total = {name: sum(c["certificate"][name] for c in page.certificates) for name in ("messages", "level_rows")}
    fees = " / ".join(f"{page.feasibility['fees_bps'][style]:g}" for style in STYLES)
    coverage = "–" if over["coverage"] is None else f"{over['coverage']:.2%}"
    return [
        '<dl class="facts">',
        fact("coverage: rows that are valid", coverage),
        fact("rows", f"{over['rows']:,}"),
        fact("book messages", f"{total['messages']:,}"),
        fact("level changes", f"{total['level_rows']:,}"),
        fact("median spread", "–" if spread["p50"] is None else f"{spread['p50']:.3g}", "bps"),
        fact("fees: maker–maker / mixed / taker–taker", fees, "bps"),
        "</dl>",
    ]


def _market(page: FirstPage, drawn: Sheet) -> list[str]:
    spans = page.overview["invalid_spans"]
    shaded = sum(1 for s in spans if s["rows"])
    shade = f" {shaded} stretch{'es' if shaded != 1 else ''} without a valid row shaded." if shaded else ""
    if any(not s["rows"] for s in spans):
        shade += " Pauses between recordings are cut out."
    return [
        "<h2>Price, spread and depth through time</h2>",
        drawn.element(
            "overview",
            figures.through_time(page.overview, "quote"),
            f"Medians of up to 600 equal stretches of time.{shade}",
        ),
        '<div class="pair">',
        drawn.element("overview", figures.spread_distribution(page.overview), "Share of valid rows at each spread."),
        drawn.element("overview", figures.message_rate(page.overview), "Book messages a second."),
        "</div>",
    ]


def _cost(page: FirstPage, drawn: Sheet) -> list[str]:
    parts = [
        "<h2>What a round trip costs, by size</h2>",
        "<p>A maker leg pays its fee; a taker leg pays its fee, half the spread and what its size walks into the book. "
        "An order larger than the 20 stored levels has no known price: it is counted as beyond the book, and a line "
        "ends where more than its share of the rows is.</p>",
        drawn.element(
            "costs", figures.cost_curve(page.costs), "Long round trips; a short differs only in the leg that crosses."
        ),
        cost_table(page.costs),
    ]
    heat = figures.cost_by_hour(page.costs)
    if heat is not None:
        parts.append(drawn.element("costs", heat, "Median one-way slippage beyond the touch, mean of both sides."))
    return parts


def _feasible(page: FirstPage, drawn: Sheet) -> list[str]:
    found = page.feasibility
    return [
        "<h2>Feasibility: the best case against the fees</h2>",
        *(f"<p>{escape(e['sentence'])}</p>" for e in found["horizons"] if e["horizon"] in ("1s", "30s")),
        drawn.element(
            "feasibility",
            figures.feasibility_bars(found),
            "Mean absolute move of the mid: what would be earned by being right every time.",
        ),
        feasibility_table(found),
        "<ul>" + "".join(f'<li class="under">{escape(c)}</li>' for c in found["caveats"]) + "</ul>",
    ]


def _orders(page: FirstPage, drawn: Sheet) -> list[str]:
    labels = page.feasibility["labels"]
    return [
        "<h2>Simulated maker orders</h2>",
        f"<p>One order of one lot joins the best on each side of every decidable row: {labels['valid_orders']:,} "
        "orders that could be judged. Three queue models bracket what cannot be seen; a claim holds when all three "
        "agree.</p>",
        label_table(labels),
        drawn.element(
            "labels",
            figures.fill_age_bars(labels),
            "Mean markout five seconds after the fill, by how long the order had waited, with 95 % intervals where "
            "the recording is long enough.",
        ),
    ]


def _proof(page: FirstPage) -> list[str]:
    command = page.commands.get("certificate", "")
    return [
        "<h2>What the certificate counted</h2>",
        certificate_table(page.certificates),
        gap_table(page.certificates, page.overview["invalid_spans"]),
        f'<p class="under">Made by <code>{escape(command)}</code>.</p>' if command else "",
    ]


def _foot(page: FirstPage) -> list[str]:
    version = page.commands.get("version", "")
    return [
        "<footer>This page needs no network and sends nothing. It describes the past of one market and is no advice. "
        f"{escape(version)}</footer>"
    ]
