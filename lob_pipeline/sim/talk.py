"""What a venue answers to what its clients say: subscriptions, pings, the clock and Binance's REST snapshot."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from lob_pipeline.sim.feed import Feed

_DEPTH_PATHS = {"/fapi/v1/depth": 500, "/dapi/v1/depth": 500, "/api/v3/depth": 100}
"""REST paths of a book, and the levels they give when none is asked for."""
_TIME_PATHS = ("/fapi/v1/time", "/dapi/v1/time", "/api/v3/time", "/v5/market/time")
_QUIET_TOPIC = re.compile(r"(?:allLiquidation|tickers|orderbook\.rpi|adlAlert|insurance|priceLimit)\.?[A-Z0-9_-]*\Z")
"""Bybit topics that exist beside a recording's: a subscription is accepted, and nothing may come for hours."""
_MAX_LIMIT = 5000


@dataclass
class Said:
    """What one client's message asks for: texts to answer with, and the topics it takes up and gives up."""

    answers: list[bytes] = field(default_factory=list)
    subscribed: list[str] = field(default_factory=list)
    unsubscribed: list[str] = field(default_factory=list)


def hear_bybit(said: dict[str, Any], feed: Feed, have: Iterable[str], conn_id: str, strict: bool) -> Said:
    """Answer one message of Bybit's v5 public protocol. One topic that is wrong rejects the whole request."""
    op, req_id = said.get("op"), said.get("req_id", "")
    topics = [str(topic) for topic in said.get("args") or []]

    def answer(success: bool, message: str) -> bytes:
        body = {"success": success, "ret_msg": message, "conn_id": conn_id, "req_id": req_id, "op": op}
        return json.dumps(body, separators=(",", ":")).encode()

    if op == "ping":
        return Said([answer(True, "pong")])
    if op == "unsubscribe":
        return Said([answer(True, "")], unsubscribed=topics)
    if op != "subscribe":
        return Said([answer(False, f"error:unknown op,op:{op}")])
    if strict:
        for topic in topics:
            if topic in have:
                return Said([answer(False, f"error:already subscribed,topic:{topic}")])
            if not feed.offers(topic) and not _QUIET_TOPIC.match(topic):
                return Said([answer(False, f"error:handler not found,topic:{topic}")])
    return Said([answer(True, "")], subscribed=topics)


def hear_binance(said: dict[str, Any], have: Iterable[str]) -> Said:
    """Answer one message of Binance's stream protocol: unknown streams are accepted and stay silent."""
    params = [str(name) for name in said.get("params") or []]
    method, number = said.get("method"), said.get("id")
    if method == "LIST_SUBSCRIPTIONS":
        return Said([json.dumps({"result": sorted(have), "id": number}).encode()])
    if method not in ("SUBSCRIBE", "UNSUBSCRIBE"):
        error = {"error": {"code": 2, "msg": f"Invalid request: unknown variant {method}"}, "id": number}
        return Said([json.dumps(error).encode()])
    answer = [json.dumps({"result": None, "id": number}).encode()]
    return Said(answer, subscribed=params) if method == "SUBSCRIBE" else Said(answer, unsubscribed=params)


def rest_answer(target: str, feed: Feed, now_ns: int) -> tuple[int, bytes] | None:
    """Return (status, JSON) for a REST request that the exchange knows, None for other targets."""
    asked = urlsplit(target)
    if asked.path in _TIME_PATHS:
        ms = now_ns // 1_000_000
        if asked.path.startswith("/v5"):
            result = {"timeSecond": str(ms // 1000), "timeNano": str(now_ns)}
            return 200, json.dumps({"retCode": 0, "retMsg": "OK", "result": result, "time": ms}).encode()
        return 200, json.dumps({"serverTime": ms}).encode()
    if asked.path not in _DEPTH_PATHS:
        return None
    query = parse_qs(asked.query)
    limit = query.get("limit", [str(_DEPTH_PATHS[asked.path])])[0]
    symbol = query.get("symbol", [""])[0]
    if not limit.isdigit() or not 0 < int(limit) <= _MAX_LIMIT:
        return 400, b'{"code":-1130,"msg":"Data sent for parameter \'limit\' is not valid."}'
    body = feed.rest(symbol, int(limit))
    return (200, body) if body else (400, b'{"code":-1121,"msg":"Invalid symbol."}')


def parse_words(text: str | bytes) -> dict[str, Any] | None:
    """Return a client's message, None when it is no JSON object."""
    try:
        said = json.loads(text)
    except ValueError:
        return None
    return said if isinstance(said, dict) else None
