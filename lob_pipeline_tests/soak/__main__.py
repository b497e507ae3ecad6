"""``python -m lob_pipeline_tests.soak``, set by SOAK_SECONDS, SOAK_RATE, SOAK_KILLS, SOAK_SEED and SOAK_DIR."""

from __future__ import annotations

import json
import os
import secrets
import sys
import tempfile
from pathlib import Path

from lob_pipeline_tests.real_data import real_data_root
from lob_pipeline_tests.soak.judge import judge, table
from lob_pipeline_tests.soak.run import SoakConfig, soak


def main() -> int:
    """Run a soak, print its table, write ``soak.json``. Exit 1 when a bar fails, 2 without the recordings."""
    real = real_data_root()
    if real is None:
        print("soak: the real recordings are not at ../shared/data (or LOB_REAL_DATA)", file=sys.stderr)
        return 2
    seconds = float(os.environ.get("SOAK_SECONDS", "1800"))
    config = SoakConfig(
        seconds=seconds,
        rate=float(os.environ.get("SOAK_RATE", "5000")),
        kills=int(os.environ.get("SOAK_KILLS", str(max(1, round(seconds / 36))))),
        seed=int(os.environ.get("SOAK_SEED", str(secrets.randbelow(1 << 31)))),
    )
    named = os.environ.get("SOAK_DIR")
    plan = f"{config.seconds:g} s, {config.rate:g} messages/s, {config.kills} kills, seed {config.seed}"
    print(f"soak: {plan}", flush=True)
    with tempfile.TemporaryDirectory(prefix="lob-soak-") as scratch:
        folder = Path(named or scratch)
        folder.mkdir(parents=True, exist_ok=True)
        report = judge(config, soak(config, folder, real))
        place = (folder if named else Path.cwd() / "bench") / "soak.json"
        place.parent.mkdir(exist_ok=True)
        place.write_text(json.dumps(report, indent=1))
    print(table(report))
    print(f"written to {place}")
    return 0 if report["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
