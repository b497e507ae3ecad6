"""``python -m lob_pipeline_tests.fuzz --minutes N [--target NAME]``: N minutes on every decoder, one by one."""

from __future__ import annotations

import argparse
import base64
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def explore(name: str, seconds: float, seed: int, folder: Path, defect: str = "") -> dict[str, Any]:
    """Explore a target in a process of its own, replay what it found with the compiled scanners; return both outcomes.

    A process that dies is a finding. ``defect``: one of ``defects.PLANTED`` to explore with; nothing is replayed then.
    """
    file = folder / f"{name}.json"
    words = [sys.executable, "-m", "lob_pipeline_tests.fuzz.worker"]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "LOB_FUZZ_DEFECT": defect}
    done = subprocess.run(
        [*words, "explore", name, str(seconds), str(seed), str(file)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds * 2 + 300,
    )
    if done.returncode:
        return {"target": name, "runs": 0, "findings": [{"rule": "the process dies", "detail": done.stderr[-2000:]}]}
    found: dict[str, Any] = json.loads(file.read_text())
    if defect:
        return found
    again = subprocess.run([*words, "replay", name, "0", "0", str(file)], capture_output=True, text=True, timeout=600)
    if again.returncode:
        found["findings"].append({"rule": "compiled code dies", "detail": again.stderr[-2000:]})
        return found
    replayed = json.loads(file.with_suffix(".replayed").read_text())
    found["replayed"] = replayed["replayed"]
    for other in replayed["different"]:
        detail = f"plain: {other['plain'][:200]} compiled: {other['compiled'][:200]} {other['broken']}"
        found["findings"].append({"rule": "compiled as plain", "detail": detail, "data": other["data"]})
    return found


def main() -> int:
    """Fuzz, print a line a target and every finding; exit 1 when there is one."""
    from lob_pipeline_tests.fuzz.targets import targets

    known = list(targets())
    parser = argparse.ArgumentParser(prog="python -m lob_pipeline_tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="for each target")
    parser.add_argument("--target", action="append", choices=known, help="one decoder (again for more); default: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="a folder for the inputs that broke a rule")
    options = parser.parse_args()
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in options.target or known:
            found = explore(name, 60 * options.minutes, options.seed, Path(folder))
            print(
                f"{name:18} {found['runs']:>8,} inputs, {found.get('seed_edges', 0):>5} -> {found.get('edges', 0):>5} "
                f"steps, {found.get('replayed', 0):>5} replayed compiled, {len(found['findings'])} findings",
                flush=True,
            )
            for k, finding in enumerate(found["findings"]):
                bad += 1
                print(f"    {finding['rule']}: {finding['detail']}")
                if options.keep and "data" in finding:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    (options.keep / f"{name}-{k}").write_bytes(base64.b64decode(finding["data"]))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
