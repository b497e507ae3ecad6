"""The report of a walk-forward: the verdict in words on top, everything escaped, no figure drawn empty."""

from __future__ import annotations

import copy
import json
import re
from html import escape
from html.parser import HTMLParser
from typing import Any

import pytest

from lob_pipeline.evaluation.walk_figures import calibration_plot, fee_curve, fold_strip, routing_map, training_curves
from lob_pipeline.evaluation.walk_page import render
from lob_pipeline.evaluation.walk_tables import day_table, gate_table, model_table
from lob_pipeline_tests.evaluation.walk_sample import sample_walk

HOSTILE = "</script><img src=x onerror=alert(1)>&\"'"


@pytest.fixture(scope="module")
def walk() -> dict[str, Any]:
    return sample_walk()


@pytest.fixture(scope="module")
def page(walk: dict[str, Any]) -> str:
    return render(walk)


def body(page: str) -> str:
    """Return what the reader sees of a page, without its scripts."""
    return page[page.index("<body>") : page.index("<script")]


class Tags(HTMLParser):
    """Collects every tag with its attributes, and checks that what opens is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def tags_of(page: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Tags()
    parser.feed(page)
    assert parser.open == []
    return parser.seen


def test_the_verdict_and_its_reason_stand_on_top(walk: dict[str, Any], page: str) -> None:
    text = body(page)
    assert text.index("Trade</div>") < text.index(escape(walk["verdict"]["reasons"][0])) < text.index("<h2>")
    for name in walk["models"]:
        assert f"<td>{name}</td>" in text
    for day in ("2026-01-01", "2025-12-25 to 2025-12-29 (5 days)"):
        assert day in text
    assert "vol_1s (same window as vol_2s)" in text


def test_every_figure_has_data_a_command_and_nothing_from_outside(page: str) -> None:
    tags = tags_of(page)
    figures = [a["data-figure"] for _, a in tags if "data-figure" in a]
    assert len(figures) == 7
    for name in figures:
        found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.DOTALL)
        assert found is not None
        assert json.loads(found[1])["data"]
    for caption in re.findall(r"<figcaption>(.*?)</figcaption>", page):
        assert "Made by <code>lob " in caption
    assert not [a for _, a in tags if "src" in a or "href" in a], "the page fetches nothing"


def test_what_came_from_outside_is_escaped(walk: dict[str, Any]) -> None:
    bad = copy.deepcopy(walk)
    bad["market"] = bad["as_of"] = bad["clock"] = HOSTILE
    bad["notes"] = [HOSTILE]
    bad["verdict"]["reasons"] = [HOSTILE, HOSTILE]
    bad["data"]["left_out"] = [{"date": HOSTILE, "reason": HOSTILE}]
    bad["data"]["days"] = [{"date": HOSTILE}]
    bad["inputs"]["left_out"] = [[HOSTILE, HOSTILE]]
    bad["commands"] = dict.fromkeys(bad["commands"], HOSTILE)
    bad["paired"][0]["against"] = HOSTILE
    bad["models"][HOSTILE] = bad["models"].pop("majority")
    bad["routing"] = HOSTILE
    bad["models"]["moe"]["routing"]["regimes"] = [HOSTILE] * 3
    bad["models"]["moe"]["folds"][0]["masked_heads"] = [HOSTILE]
    bad["overfitting"]["reality_check"]["best"] = HOSTILE
    bad["labels"]["bracket"]["sentence"] = HOSTILE
    page = render(bad)
    assert HOSTILE not in page
    assert "<img" not in body(page)
    assert page.count(escape(HOSTILE)) >= 12
    assert not [a for tag, a in tags_of(page) if tag == "img" or "onerror" in a]


def test_a_run_in_which_nothing_happened_says_so() -> None:
    walk = sample_walk(silent=True)
    moe = walk["models"]["moe"]
    moe.update(curves=None, routing=None, leg_a=None)
    walk.update(labels=None, overfitting=None, paired=[], trials=None, notes=[])
    walk["inputs"]["left_out"] = []
    text = body(render(walk))
    assert "Not enough data" in text
    assert "data-figure" not in text
    for words in (
        "No model filled a single order", "there is no break-even fee", "No fold has a forecast of p_entry",
        "The oracle of direction was not computed", "were not summarised", "moe has no training curve",
        "moe has no experts", "No input was left out",
    ):  # fmt: skip
        assert words in text, words


def test_a_run_that_found_no_order_worth_sending_says_how_it_was_judged() -> None:
    walk = sample_walk(base_bps=-3.0, skill_bps=0.3)
    text = body(render(walk))
    assert "Do not trade" in text
    assert "lower 95 % bound" in text
    assert "<td>always</td>" in text
    assert "1,000,000" not in text


def test_figures_without_data_are_none(walk: dict[str, Any]) -> None:
    silent = sample_walk(silent=True)
    assert fold_strip(silent["models"], "moe") is None
    assert fee_curve(silent["verdict"], 2.0) is None
    assert calibration_plot(silent["models"]["moe"]["folds"], "fill", "p") is None
    assert training_curves([]) is None
    assert routing_map({"regimes": ["calm"], "experts": [[]]}) is None


def test_the_fee_curve_meets_zero_at_the_break_even_fee(walk: dict[str, Any]) -> None:
    figure = fee_curve(walk["verdict"], walk["maker_fee_bps"])
    assert figure is not None
    even = walk["verdict"]["break_even_maker_fee_bps"]
    at_even = []
    for trace in figure["data"]:
        (x0, x1), (y0, y1) = trace["x"][:2], trace["y"][:2]
        at_even.append(y0 + (even - x0) * (y1 - y0) / (x1 - x0))
        today = y0 + (walk["maker_fee_bps"] - x0) * (y1 - y0) / (x1 - x0)
        assert today == pytest.approx(walk["verdict"]["intervals"][trace["name"]]["mean"])
    assert min(at_even) == pytest.approx(0.0, abs=1e-9)


def test_the_strip_shows_every_fold_of_every_model(walk: dict[str, Any]) -> None:
    figure = fold_strip(walk["models"], "moe")
    assert figure is not None
    assert [len(trace["x"]) for trace in figure["data"]] == [15, 15, 15]
    assert figure["layout"]["yaxis"]["ticktext"][-1] == "moe"


def test_tables_show_what_fails(walk: dict[str, Any]) -> None:
    verdict = copy.deepcopy(walk["verdict"])
    assert "✕" not in gate_table(verdict)
    verdict["gates"][0].update(ok=False, value=3)
    assert gate_table(verdict).count("✕") == 1
    assert model_table(walk["models"], "moe").count('class="chosen"') == 1
    days = {"days": [], "left_out": [{"date": f"2026-01-0{d}", "reason": "absent"} for d in (1, 2, 3)]}
    assert "2026-01-01 to 2026-01-03 (3 days)" in day_table(days)
