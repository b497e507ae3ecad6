"""The bars of a soak, each with what was measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.sim.looped import LoopedFeed
from lob_pipeline.sim.recorded import recorded_files
from lob_pipeline.sim.sender_log import FATES, Sent, read_sender_log
from lob_pipeline_tests.soak.compare import Verdict, compare_book, compare_trades
from lob_pipeline_tests.soak.kills import Recorded, kill_losses
from lob_pipeline_tests.soak.lake_side import batches, ledger_lines, trades
from lob_pipeline_tests.soak.run import MARKETS, SoakConfig, SoakRun, to_report

MOST_LOST_S = 1.0
MOST_GROWTH_MIB = 20.0


@dataclass(frozen=True)
class Bar:
    """One requirement. ``bound`` in words."""

    name: str
    value: float
    bound: str
    ok: bool


def judge(config: SoakConfig, run: SoakRun) -> dict[str, Any]:
    """Return the report of a soak: what was measured, the verdict of each topic, the bars."""
    sent, lines = read_sender_log(run.log), ledger_lines(run.home)
    verdicts, recorded = compare_all(run, sent, lines)
    losses = kill_losses(sent, recorded, run.kills_ns)
    report = to_report(config, run)
    worst_s = max((loss.lost_s for loss in losses), default=0.0)
    started = {e["fault"] for e in sent.events if e["event"] == "fault"}
    wrong = sum(len(v.wrong) for v in verdicts)
    growth_mib = report["rss_growth_mib"]
    bars = [
        Bar("ways to disagree", float(wrong), "0", not wrong),
        Bar("messages compared", float(sum(v.recorded for v in verdicts)), "> 0", all(v.recorded for v in verdicts)),
        Bar("kinds of faults met", float(len(started)), f"{len(run.planned)}", started == run.planned != set()),
        Bar("kills", float(len(losses)), f"{config.kills}", len(losses) == config.kills),
        Bar("worst loss by a kill (s)", round(worst_s, 3), f"<= {MOST_LOST_S}", worst_s <= MOST_LOST_S),
        Bar("memory growth (MiB)", growth_mib, f"< {MOST_GROWTH_MIB}", growth_mib < MOST_GROWTH_MIB),
        Bar("recorder's exit", float(run.exits[-1]), "0", run.exits[-1] == 0),
    ]
    fates = np.bincount(sent.frames["fate"], minlength=len(FATES))
    return {
        **report,
        "sent_messages": len(sent.frames),
        "fates": dict(zip(FATES, fates.tolist(), strict=True)),
        "faults": sorted(started),
        "ledger": _counts(lines),
        "topics": [asdict(verdict) for verdict in verdicts],
        "kill_losses": [asdict(loss) for loss in losses],
        "bars": [asdict(bar) for bar in bars],
        "ok": all(bar.ok for bar in bars),
    }


def compare_all(
    run: SoakRun, sent: Sent, lines: list[dict[str, Any]]
) -> tuple[list[Verdict], dict[str, Recorded]]:
    """Return the verdicts on books and trades of every market, and topic -> what was recorded."""
    feed = LoopedFeed(recorded_files(run.recordings))
    verdicts: list[Verdict] = []
    recorded: dict[str, Recorded] = {}
    for market in MARKETS:
        grid = instrument(parse_market(market))
        book, trade = f"orderbook.200.{grid.market.symbol}", f"publicTrade.{grid.market.symbol}"
        verdicts.append(compare_book(feed, grid, sent, book, run.home, lines))
        verdicts.append(compare_trades(market, sent, trade, run.home, lines))
        parts = [(messages.seq, messages.recv_ns) for messages in batches(run.home, market)]
        seq, recv_ns = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        recorded[book] = Recorded(seq, recv_ns)
        rows = trades(run.home, market)
        recorded[trade] = Recorded(rows["seq"], rows["recv_ns"])
    return verdicts, recorded


def _counts(lines: list[dict[str, Any]]) -> dict[str, int]:
    kinds = [line["kind"] for line in lines]
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def table(report: dict[str, Any]) -> str:
    """Return the report for people."""
    out = [
        f"soak of {report['seconds']} s at {report['rate']:g} messages/s, seed {report['seed']}: "
        f"{report['sent_messages']:,} messages, faults {', '.join(report['faults'])}",
        f"cpu share {report['cpu_share']}, memory {report['rss_mib']} MiB, ledger {report['ledger']}",
        "",
        f"{'topic':26}{'sent':>12}{'withheld':>10}{'listed lost':>12}{'recorded':>12}{'snapshots':>10}  wrong",
    ]
    for v in report["topics"]:
        out.append(
            f"{v['topic']:26}{v['sent']:>12,}{v['withheld']:>10,}{v['listed']:>12,}{v['recorded']:>12,}"
            f"{v['snapshots']:>10,}  {v['wrong'] or 'nothing'}"
        )
    out.append("")
    for bar in report["bars"]:
        out.append(f"{'ok' if bar['ok'] else 'FAILED':8}{bar['name']:28}{bar['value']:>14,.6g}   {bar['bound']}")
    return "\n".join(out)
