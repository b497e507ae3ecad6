"""The command that records: ``lob record``."""

from __future__ import annotations

from typing import Annotated

import typer

from lob_pipeline.cli.output import HomeOption, JsonOption, emit, note, open_home


def register(app: typer.Typer) -> None:
    """Add this topic's commands to ``app``."""
    app.command("record")(record)


def record(
    markets: Annotated[
        list[str], typer.Argument(metavar="MARKET...", help="venue.SYMBOL, for example bybit-linear.BTCUSDT")
    ],
    url: Annotated[
        str | None, typer.Option("--url", metavar="WS", help="websocket to listen to", show_default="the venue's own")
    ] = None,
    rest_url: Annotated[
        str | None,
        typer.Option(metavar="HTTP", help="where book snapshots are fetched", show_default="the venue's own"),
    ] = None,
    keep_days: Annotated[
        int | None, typer.Option(min=0, help="remove segments this old, once they stand verified in the lake")
    ] = None,
    flush_ms: Annotated[int, typer.Option(min=10, max=1000, help="the longest that a frame stays in memory")] = 250,
    segment_mb: Annotated[float, typer.Option(min=0.001, help="size at which a segment is closed")] = 64.0,
    connections: Annotated[int, typer.Option(min=1, help="over how many the markets of a venue are spread")] = 1,
    roll_s: Annotated[
        float, typer.Option(min=0, help="age at which a connection is replaced", show_default="the venue's limit")
    ] = 0.0,
    book_silence_s: Annotated[
        float, typer.Option(min=0.1, help="a book silent for so long is subscribed to anew")
    ] = 60.0,
    duration: Annotated[float | None, typer.Option(min=0.1, help="seconds after which to stop")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Write down every frame of live markets, exactly as it came, until SIGTERM or Ctrl-C.

    Example: lob record bybit-linear.BTCUSDT bybit-linear.ETHUSDT --keep-days 30
    """
    from lob_pipeline.capture.config import RecordConfig
    from lob_pipeline.capture.recorder import RecordOptions
    from lob_pipeline.capture.recorder import record as run
    from lob_pipeline.core.instrument import parse_market

    config = RecordConfig(
        flush_ms=flush_ms,
        segment_bytes=int(segment_mb * (1 << 20)),
        connections=connections,
        keep_days=keep_days,
        duration_s=duration,
        roll_s=roll_s,
        book_silence_s=book_silence_s,
    )
    report = run(open_home(home), [parse_market(m) for m in markets], RecordOptions(url, rest_url), config, note)
    emit(report, as_json)
    return 0
