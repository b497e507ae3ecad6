"""orjson: websocket lines to numbers, the way most recorders' readers do it."""

from __future__ import annotations

import time
from array import array
from typing import Any


def orjson_rows(request: dict[str, Any]) -> dict[str, Any]:
    """Every level of ``messages.ndjson`` through orjson and float()."""
    import orjson

    with open(f"{request['folder']}/messages.ndjson", "rb") as file:
        lines = file.read().splitlines()
    prices, sizes = array("d"), array("d")
    started = time.process_time()
    for line in lines:
        data = orjson.loads(line)["data"]
        for side in (data["b"], data["a"]):
            for price, size in side:
                prices.append(float(price))
                sizes.append(float(size))
    return {"seconds": time.process_time() - started, "rows": len(prices)}


TASKS = {"orjson": orjson_rows}
