"""One process of the fuzzing: explores a target with plain Python scanners, or replays inputs with compiled ones.

``python -m lob_pipeline_tests.fuzz.worker explore|replay TARGET SECONDS SEED FILE``; the outcome is JSON in FILE.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import tempfile
import time
from pathlib import Path


def real_lines(target: str, most: int = 3000) -> list[bytes]:
    """Return the beginnings of the real recordings of a target's form, where they are at hand."""
    from lob_pipeline.venues.source import open_source
    from lob_pipeline_tests.real_data import real_data_root

    root = real_data_root()
    names = {
        "bybit_book": ["bybit_linear_ws/orderbook.200.BTCUSDT.ndjson"],
        "bybit_trades": ["bybit_linear_ws/publicTrade.BTCUSDT.ndjson"],
        "binance_futures": ["binance_usdm/btcusdt_20230404.gz", "binance_usdm/btcusdt_20240808.gz"],
        "binance_spot": ["binance_spot/nexousdt_20240724.gz"],
        "binance_wrapped": ["binance_resync/raw_1772137284.ndjson.gz"],
        "okx": ["checksum_venues/OKX.jsonl.zst"],
        "kraken": ["checksum_venues/KRAKEN.jsonl.zst"],
    }
    out = []
    for name in names.get(target, []) if root else []:
        block = next(open_source(root / name, 1 << 20))
        lines = [line for line in bytes(block.data[: block.size]).split(b"\n") if 0 < len(line) < most // 2]
        kept, size = [], 0
        for line in lines:
            if size + len(line) > most:
                break
            kept.append(line)
            size += len(line) + 1
        out.append(b"\n".join(kept) + b"\n")
    return out


def _explore(name: str, seconds: float, seed: int, folder: Path) -> dict[str, object]:
    from lob_pipeline_tests.fuzz import pure

    pure.install()
    defect = os.environ.get("LOB_FUZZ_DEFECT")
    if defect:
        from lob_pipeline_tests.fuzz import defects

        defects.plant(defect)
    from lob_pipeline_tests.fuzz.loop import run
    from lob_pipeline_tests.fuzz.targets import targets

    target = targets()[name]
    started = time.monotonic()
    result = run(target, [*target.seeds, *real_lines(name)], seconds, seed, folder)
    return {
        "target": name,
        "runs": result.runs,
        "seconds": round(time.monotonic() - started, 1),
        "seed_edges": result.seed_edges,
        "edges": result.edges,
        "findings": [
            {"rule": f.rule, "detail": f.detail, "data": base64.b64encode(f.data).decode()} for f in result.findings
        ],
        "kept": [(base64.b64encode(data).decode(), digest) for data, digest in result.kept],
    }


def _replay(name: str, file: Path, folder: Path) -> dict[str, object]:
    """Decode what was explored with the compiled scanners: every outcome must be the same."""
    from lob_pipeline_tests.fuzz.targets import examine, targets

    target = targets()[name]
    kept = json.loads(file.read_text())["kept"]
    different = []
    for data, digest in kept:
        found, broken = examine(target, base64.b64decode(data), folder)
        if found != digest or broken:
            different.append({"data": data, "plain": digest, "compiled": found, "broken": broken})
    return {"target": name, "replayed": len(kept), "different": different}


def main(words: list[str]) -> None:
    """Run one process of the fuzzing."""
    what, name, seconds, seed, file = words
    path = Path(file)
    with tempfile.TemporaryDirectory() as folder:
        if what == "explore":
            outcome = _explore(name, float(seconds), int(seed), Path(folder))
            path.write_text(json.dumps(outcome))
        else:
            outcome = _replay(name, path, Path(folder))
            path.with_suffix(".replayed").write_text(json.dumps(outcome))


if __name__ == "__main__":
    main(sys.argv[1:])
