"""The shadow report as one small HTML file: tables alone, no script, no network."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color-scheme: light dark; }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; } th, td { padding: .2rem .7rem; text-align: right; }
th { border-bottom: 1px solid; font-weight: 600; } td:first-child, th:first-child { text-align: left; }
small { opacity: .75; }
"""  # noqa: E501


def shadow_page(document: dict[str, Any]) -> str:
    """Return the page of a ``shadow_report`` document."""
    title = f"Shadow of {document['market']} on {document['date']}"
    parts = [f"<h1>{escape(title)}</h1>"]
    parts += [f"<p>{escape(sentence)}</p>" for sentence in document["reasons"]]
    if len(document["models"]) > 1:
        parts.append("<h2>Side by side</h2>" + _side_by_side(document["models"]))
    if document["live_against_batch"]:
        names = ("bundle", "rows_live", "rows_batch", "valid_in_both", "valid_in_one", "equal")
        rows = [[found[name] for name in names] for found in document["live_against_batch"]]
        parts.append("<h2>Live against batch</h2>" + _table([n.replace("_", " ") for n in names], rows))
    for model in document["models"]:
        parts.append(_model(model))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; style-src \'unsafe-inline\'">'
        f"<style>{_STYLE}</style></head><body>\n{''.join(parts)}\n</body></html>\n"
    )


def _who(model: dict[str, Any]) -> str:
    return " ".join(part for part in (model["role"], model["bundle"], model["origin"], model["clock"]) if part)


def _side_by_side(models: list[dict[str, Any]]) -> str:
    rows = [
        [
            _who(m),
            m["orders_predicted"],
            m["coverage"],
            m["fill_rate"]["predicted"],
            m["fill_rate"]["proportional"],
            m["calibration"]["fill"]["brier"],
            m["edge_given_a_fill_bps"]["predicted"],
            m["edge_given_a_fill_bps"]["proportional"],
        ]
        for m in models
    ]
    head = ["", "orders", "coverage", "fill said", "fill real", "fill Brier", "edge said, bps", "edge real, bps"]
    return _table(head, rows)


def _model(model: dict[str, Any]) -> str:
    parts = [
        f"<h2>{escape(_who(model))}</h2>",
        f"<p><small>{model['filled']:,} fills at {model['distinct_fill_times']:,} different instants: orders of "
        "neighbouring rows share their fate, so count those.</small></p>",
    ]
    names = ("predicted", "pessimistic", "proportional", "optimistic")
    figures = ("fill_rate", "edge_given_a_fill_bps")
    rows = [[figure.replace("_", " "), *(model[figure][n] for n in names)] for figure in figures]
    parts.append(_table(["", *names], rows))
    for by, words in (("tenths_of_value", "p_fill · edge"), ("tenths_of_edge", "edge given a fill")):
        columns = ("rows", "predicted_bps", "fill_rate", "edge_an_order_bps", "edge_a_fill_bps", "markout_5s_bps")
        table = _table([c.replace("_", " ") for c in columns], [[t[c] for c in columns] for t in model[by]])
        parts.append(f"<h3>By tenth of the forecast {words}</h3>{table}")
    for head, found in model["calibration"].items():
        bins = [[f"{b['from']:.1f} …", b["rows"], b["predicted"], b["happened"]] for b in found["bins"]]
        parts.append(f"<h3>Calibration of {escape(head)}</h3>{_table(['bin', 'rows', 'predicted', 'happened'], bins)}")
    return "".join(parts)


def _table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in row) + "</tr>" for row in rows)
    return f"<table><tr>{cells}</tr>{body}</table>"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.3f}"
    return f"{value:,}" if isinstance(value, int) else escape(str(value))
