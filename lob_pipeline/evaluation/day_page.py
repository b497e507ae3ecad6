"""The page of one day: why it is or is not there, its certificate, its figures beside the trailing days'."""

from __future__ import annotations

from html import escape
from typing import Any

from lob_pipeline.evaluation.figures import ASK, BID, QUIET, Figure, axis, iso, layout, line
from lob_pipeline.evaluation.sheet import Sheet, bullet_list
from lob_pipeline.evaluation.tables import certificate_table, gap_table, table
from lob_pipeline.evaluation.words import certificate_words

_METRICS = (
    ("spread_ticks", "spread, ticks"),
    ("depth_4bps_lots", "depth within 4 bps, lots"),
    ("messages", "messages a minute"),
    ("valid_share", "valid share of a minute"),
)
_REFUSED = "#b42318"


def render_day(found: dict[str, Any], links: dict[str, str] | None = None) -> str:
    """Return the page as HTML text. ``found``: a day's dossier as plain JSON; ``links``: words -> address beside it."""
    command = f"lob why {found['market']} {found['date']} --clock {found['clock']}"
    drawn = Sheet(dict.fromkeys(("history", "gaps", "span", "gates", "tables"), command))
    body = "\n".join(
        [
            f"<header><h1>{escape(found['market'])}, {escape(found['date'])}</h1>",
            f'<p class="under">one row every {escape(found["clock"])}; made by <code>{escape(command)}</code></p>',
            "</header>",
            *_card(found, links or {}),
            *_tables(found, drawn),
            *_certificate(found, drawn),
            *_history(found, drawn),
            *_sources(found),
        ]
    )
    return drawn.document(f"{found['market']} {found['date']}", body)


def _card(found: dict[str, Any], links: dict[str, str]) -> list[str]:
    done = all(t["state"] == "fresh" for t in found["tables"])
    kind = "good" if done else "bad" if found["blocked"] else "open"
    shown = "".join(f'<li class="none"><a href="{escape(to)}">{escape(words)}</a></li>' for words, to in links.items())
    refused = [
        f"{gate['name']}: {gate['message'] or 'refused'}"
        for t in found["tables"]
        for gate in t["gates"]
        if t["state"] == "refused" and gate["status"] == "refused" and gate["severity"] == "gate"
    ]
    advice = "".join(f'<li class="none">{_with_code(sentence)}</li>' for sentence in found["advice"])
    return [
        f'<section class="cards"><div class="card {kind}"><div class="what">why{"" if done else " not"}?</div>',
        f'<div class="headline">{escape(found["headline"])}</div>',
        f"<ul>{bullet_list(refused, 'no')}{advice}{shown}</ul></div></section>",
    ]


def _with_code(sentence: str) -> str:
    """Return an escaped sentence whose `quoted` parts are set as code."""
    parts = escape(sentence).split("`")
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))


def _tables(found: dict[str, Any], drawn: Sheet) -> list[str]:
    rows = [
        [
            escape(t["table"]),
            escape(t["state"]),
            f"{t['rows']:,}",
            _gate_counts(t["gates"]),
            f"{len(t['lineage'])}" if t["lineage"] else "–",
            escape(t["why"]),
        ]
        for t in found["tables"]
    ]
    parts = ["<h2>Tables and gates</h2>", _words(["", "state", "rows", "gates", "replaced", "why"], rows)]
    judged = [(t["table"], g) for t in found["tables"] for g in t["gates"]]
    order = {"refused": 0, "not_judged": 1, "passed": 2}
    judged.sort(key=lambda pair: order[pair[1]["status"]])
    gates = [
        [
            escape(name),
            escape(gate["name"]),
            _status(gate["status"]),
            f"{gate['rows_examined']:,}",
            f"{gate['rows_judged']:,}",
            escape(gate["message"]) if gate["status"] != "passed" else "",
        ]
        for name, gate in judged
    ]
    if gates:
        parts.append(_words(["table", "check", "outcome", "examined", "judged", "message"], gates))
        parts.append(f'<p class="under">A check that judged too few rows never passes.{drawn.made_by("gates")}</p>')
    return parts


def _gate_counts(gates: list[dict[str, Any]]) -> str:
    if not gates:
        return "–"
    return ", ".join(
        f"{n} {word}"
        for status, word in (("refused", "refused"), ("not_judged", "not judged"), ("passed", "passed"))
        if (n := sum(g["status"] == status for g in gates))
    )


def _status(status: str) -> str:
    colour = {"refused": "var(--bad)", "not_judged": "var(--open)", "passed": "var(--good)"}[status]
    return f'<span style="color:{colour}">{escape(status.replace("_", " "))}</span>'


def _words(head: list[str], rows: list[list[str]]) -> str:
    return f'<div class="words">{table(head, rows)}</div>'


def _certificate(found: dict[str, Any], drawn: Sheet) -> list[str]:
    certificate = next((t["certificate"] for t in found["tables"] if t["table"] == "book_snapshots"), None)
    if certificate is None:
        return ["<h2>Certificate</h2>", '<p class="under">No book was built, so there is none.</p>']
    words = certificate_words(certificate)
    missing = [f"not checked, because the recording does not carry it: {m}" for m in words["not_checked"]]
    entry = [{"date": found["date"], "certificate": certificate}]
    kind = "good" if words["holds"] else "bad"
    parts = [
        "<h2>Certificate</h2>",
        f'<div class="card {kind}"><div class="headline">{escape(words["headline"])}</div>',
        f"<ul>{bullet_list(words['against'], 'no')}{bullet_list(words['proved'], 'yes')}"
        f"{bullet_list(missing, 'none')}</ul></div>",
        certificate_table(entry),
    ]
    spans = [{"from_ns": a, "to_ns": b, "rows": 1} for a, b in certificate.get("invalid_spans", [])]
    parts.append(gap_table(entry, spans))
    if spans:
        parts.append(drawn.element("span", invalid_figure(spans), "Stretches of the day without a valid row."))
    return parts


def invalid_figure(spans: list[dict[str, int]]) -> Figure:
    """Return the day as a strip, its invalid stretches marked."""
    data = [
        {
            "type": "scatter", "mode": "lines", "x": [iso(s["from_ns"]), iso(s["to_ns"])], "y": [0, 0],
            "line": line(_REFUSED, 14), "showlegend": False,
            "hovertemplate": f"{(s['to_ns'] - s['from_ns']) / 1e9:,.1f} s<extra></extra>",
        }
        for s in spans
    ]  # fmt: skip
    return {"data": data, "layout": layout(120, xaxis=axis("UTC"), yaxis=axis("", visible=False), hovermode="closest")}


def _history(found: dict[str, Any], drawn: Sheet) -> list[str]:
    days = found["days"]
    if not days:
        return ["<h2>Beside the trailing days</h2>", '<p class="under">No book of this or an earlier day stands.</p>']
    parts = ["<h2>Beside the trailing days</h2>", '<div class="pair">']
    for name, words in _METRICS:
        figure = history_figure(days, found["date"], name, words)
        if figure is not None:
            parts.append(drawn.element("history", figure, f"{words}: quantiles 5, 25, 50, 75, 95 % over minutes."))
    parts.append(drawn.element("gaps", gaps_figure(days, found["date"]), "Gaps in the chain of updates, by day."))
    parts.append("</div>")
    if len(days) < 4:
        parts.append(f'<p class="under">Only {len(days) - 1} trailing days: too few to call anything unusual.</p>')
    return parts


def history_figure(days: list[dict[str, Any]], date: str, metric: str, words: str) -> Figure | None:
    """Return one box a day from its quantiles, the day itself in colour; None where no day has a value."""
    known = [d for d in days if d[metric] is not None]
    if not known:
        return None
    boxes: list[dict[str, Any]] = []
    for mine, colour, name in ((False, QUIET, "trailing days"), (True, ASK, date)):
        chosen = [d for d in known if (d["date"] == date) == mine]
        if chosen:
            low, q1, median, q3, high = zip(*(d[metric] for d in chosen), strict=True)
            boxes.append(
                {
                    "type": "box", "name": name, "x": [d["date"] for d in chosen], "lowerfence": low, "q1": q1,
                    "median": median, "q3": q3, "upperfence": high, "marker": {"color": colour}, "width": 0.5,
                }
            )  # fmt: skip
    axes = {"xaxis": axis("", type="category", categoryorder="category ascending"), "yaxis": axis(words)}
    return {"data": boxes, "layout": layout(300, hovermode="closest", **axes)}


def gaps_figure(days: list[dict[str, Any]], date: str) -> Figure:
    """Return the number of gaps a day as bars."""
    colours = [_REFUSED if not d["usable"] else ASK if d["date"] == date else BID for d in days]
    bars = {
        "type": "bar", "x": [d["date"] for d in days], "y": [d["gaps"] for d in days], "marker": {"color": colours},
        "hovertemplate": "%{x}: %{y} gaps<extra></extra>", "showlegend": False, "width": 0.5,
    }  # fmt: skip
    step = max(1, -(-max(d["gaps"] for d in days) // 5))  # whole gaps only
    axes = {"xaxis": axis("", type="category"), "yaxis": axis("gaps", rangemode="tozero", dtick=step)}
    return {"data": [bars], "layout": layout(300, hovermode="closest", **axes)}


def _sources(found: dict[str, Any]) -> list[str]:
    if not found["sources"]:
        return ["<h2>Sources</h2>", '<p class="under">None is registered for this day.</p>']
    rows = [
        [
            escape(s["name"]),
            escape(", ".join(s["holds"])),
            f"{s['size_bytes']:,}",
            f"<code>{escape(s['sha256'][:16])}</code>",
            "kept" if s["kept"] else "not kept",
        ]
        for s in found["sources"]
    ]
    replaced = [entry for t in found["tables"] for entry in t["lineage"]]
    parts = ["<h2>Sources</h2>", _words(["file", "holds", "bytes", "SHA-256", ""], rows)]
    if replaced:
        items = [
            f"content {entry['content_sha256'][:16]} from {', '.join(sorted(entry['inputs']))}" for entry in replaced
        ]
        parts += ['<p class="under">Stood here before and was replaced:</p>', f"<ul>{bullet_list(items, 'none')}</ul>"]
    return parts
