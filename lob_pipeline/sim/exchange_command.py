"""``python -m lob_pipeline.sim.exchange``: the local exchange as a process of its own."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from lob_pipeline.core.errors import LobError
from lob_pipeline.sim.exchange import Exchange, serving
from lob_pipeline.sim.faults import KINDS, parse_fault, read_script

_EXAMPLE = """faults (KIND@AT[xCOUNT][,topic=TOPIC][,ms=N]; AT: number of a message, or seconds as 2.5s):
{kinds}

example:
  python -m lob_pipeline.sim.exchange orderbook.200.BTCUSDT.ndjson publicTrade.BTCUSDT.ndjson --loop --rate 5000 \\
      --fault drop@1000x3 --fault silence@5sx2,topic=orderbook.200.BTCUSDT --fault clock_step@9s,ms=-2500 \\
      --log /tmp/sent
"""


def main(arguments: list[str] | None = None) -> int:
    """Serve a recording until interrupted or terminated. Returns the exit code."""
    kinds = "\n".join(f"  {kind:20} {what}" for kind, what in KINDS.items())
    parser = argparse.ArgumentParser(
        prog="python -m lob_pipeline.sim.exchange",
        description="A loopback exchange: serves a recording in its venue's protocol; prints its address.",
        epilog=_EXAMPLE.format(kinds=kinds),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--speed", type=float, default=1.0, help="0: as fast as the client takes it")
    parser.add_argument("--rate", type=float, default=0.0, help="messages a second, instead of --speed")
    parser.add_argument("--loop", action="store_true", help="a market without end, of its own clock (needs --rate)")
    parser.add_argument("--fault", action="append", default=[], metavar="FAULT", help="see below; may be given again")
    parser.add_argument("--faults", type=Path, metavar="FILE", help="a JSON list of faults")
    parser.add_argument("--log", type=Path, metavar="DIR", help="write what was sent and withheld there")
    parser.add_argument("--extras", action="store_true", help="with --loop: tickers, RPI books and liquidations too")
    options = parser.parse_args(arguments)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    try:
        faults = [parse_fault(text) for text in options.fault]
        faults += read_script(options.faults) if options.faults else []
        exchange = Exchange(
            options.paths,
            options.speed,
            loop=options.loop,
            rate=options.rate,
            faults=faults,
            log=options.log,
            extras=options.extras,
        )
        with serving(exchange, options.port) as url:
            print(url, flush=True)
            stopped.wait()
    except LobError as error:
        print(f"exchange: {error}", file=sys.stderr)
        return error.exit_code
    return 0
