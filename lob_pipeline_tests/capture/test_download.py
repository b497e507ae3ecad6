"""Archive days arrive whole or not at all, whatever the server does."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from lob_pipeline.capture.archives import BOOKS_URL, TRADES_URL, folders, wanted_files
from lob_pipeline.capture.download import DownloadConfig, DownloadReport, download, download_folder
from lob_pipeline.capture.fetch import Patience, verify_whole
from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.units import parse_dates
from lob_pipeline.lake import ledger
from lob_pipeline.lake.home import Home
from lob_pipeline_tests.capture.archive_server import (
    Archive,
    book_zip,
    cut_at,
    hang_up,
    instead,
    serving_archive,
    status,
    trades_gz,
)

MARKET = parse_market("bybit-linear.BTCUSDT")
DAY = "2024-12-01"
BOOK = f"/orderbook/linear/BTCUSDT/{DAY}_BTCUSDT_ob500.data.zip"
TRADES = f"/trading/BTCUSDT/BTCUSDT{DAY}.csv.gz"
QUICK = Patience(attempts=3, first_wait_s=0.01, longest_wait_s=0.02, timeout_s=5)


def archive(**more: Any) -> Archive:
    return Archive({BOOK: book_zip(), TRADES: trades_gz()}, **more)


def fetch(home: Path, served: Archive, dates: str = DAY, jobs: int = 2, patience: Patience = QUICK) -> DownloadReport:
    with serving_archive(served) as url:
        return download(Home(home), MARKET, parse_dates(dates), DownloadConfig(url, jobs, patience))


def visible(home: Path) -> dict[str, bytes]:
    """What a user of the folder sees: every plain file."""
    folder = download_folder(Home(home), MARKET)
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.is_file() and p.name != ".lock"}


def leftovers(home: Path) -> list[str]:
    folder = download_folder(Home(home), MARKET) / ".parts"
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


def whole(home: Path) -> bool:
    return visible(home) == {Path(BOOK).name: book_zip(), Path(TRADES).name: trades_gz()} and not leftovers(home)


def test_names_change_with_the_date() -> None:
    old, trades = wanted_files(MARKET, "2025-08-20")
    new, _ = wanted_files(MARKET, "2025-08-21")
    assert [name.split("_")[2][:5] for name in old.names] == ["ob500", "ob200"]
    assert [name.split("_")[2][:5] for name in new.names] == ["ob200", "ob500"]
    assert trades.names == ("BTCUSDT2025-08-20.csv.gz",)
    assert folders(MARKET, "book", None) == (f"{BOOKS_URL}/BTCUSDT",)
    assert folders(MARKET, "trades", None) == (f"{TRADES_URL}/BTCUSDT",)
    with pytest.raises(BadInputError, match="no public archive is known"):
        wanted_files(parse_market("kraken.BTCUSD"), DAY)


def test_a_day_arrives_and_is_left_alone_afterwards(tmp_path: Path) -> None:
    served = archive()
    report = fetch(tmp_path, served)
    assert whole(tmp_path)
    assert (report.exit_code, len(report.of("fetched"))) == (0, 2)
    lines = ledger.read(tmp_path / "ledgers" / "downloads.jsonl")
    assert {line["bytes"] for line in lines} == {len(book_zip()), len(trades_gz())}
    assert all(len(line["sha256"]) == 64 for line in lines)
    asked = len(served.asked)
    again = fetch(tmp_path, served)
    assert (again.exit_code, len(again.of("present")), len(served.asked)) == (0, 2, asked)


@pytest.mark.parametrize("flat", [False, True])
def test_a_mirror_may_be_flat(tmp_path: Path, flat: bool) -> None:
    prefix = "" if flat else "/BTCUSDT"
    served = Archive({f"{prefix}/{Path(BOOK).name}": book_zip(), f"{prefix}/{Path(TRADES).name}": trades_gz()})
    assert fetch(tmp_path, served).exit_code == 0
    assert whole(tmp_path)


def test_the_other_name_is_tried(tmp_path: Path) -> None:
    other = BOOK.replace("ob500", "ob200")
    report = fetch(tmp_path, Archive({other: book_zip(), TRADES: trades_gz()}))
    assert Path(other).name in visible(tmp_path)
    assert report.exit_code == 0


def test_days_without_files_are_listed_and_not_fatal(tmp_path: Path) -> None:
    report = fetch(tmp_path, archive(), "2024-11-30..2024-12-02")
    assert report.exit_code == 0
    assert report.to_json()["missing"] == [
        f"{d} {k}" for d in ("2024-11-30", "2024-12-02") for k in ("book", "trades")
    ]
    assert [date for date, _ in report.days()] == [DAY]
    assert fetch(tmp_path / "other", archive(), "2023-01-01..2023-01-02").exit_code == 2


def test_a_cut_answer_is_continued(tmp_path: Path) -> None:
    served = archive(wrong={BOOK: [cut_at(5_000), cut_at(7_000)]})
    report = fetch(tmp_path, served)
    assert whole(tmp_path)
    asked = [headers.get("Range") for path, headers, _ in served.asked if path == BOOK]
    assert asked == [None, "bytes=5000-", "bytes=12000-"]
    assert report.files[0].fetched is not None
    assert report.files[0].fetched.resumed_from == 5_000


def test_a_later_run_continues_what_one_left(tmp_path: Path) -> None:
    never = Patience(attempts=1, first_wait_s=0.01)
    report = fetch(tmp_path, archive(wrong={BOOK: [cut_at(5_000), hang_up]}), patience=never)
    assert report.exit_code == 1
    assert Path(BOOK).name not in visible(tmp_path)
    assert leftovers(tmp_path) == [Path(BOOK).name, f"{Path(BOOK).name}.json"]
    served = archive()
    # the address has another port: what is left belongs to another server, and is fetched anew
    assert fetch(tmp_path, served).exit_code == 0
    assert whole(tmp_path)
    assert "Range" not in served.asked[0][1]


def test_the_same_server_is_asked_for_the_rest(tmp_path: Path) -> None:
    served = archive(wrong={BOOK: [cut_at(5_000), hang_up]})
    with serving_archive(served) as url:
        once = DownloadConfig(url, 2, Patience(attempts=1, first_wait_s=0.01))
        assert download(Home(tmp_path), MARKET, [DAY], once).exit_code == 1
        report = download(Home(tmp_path), MARKET, [DAY], DownloadConfig(url, 2, QUICK))
    assert whole(tmp_path)
    assert report.files[0].fetched is not None
    assert report.files[0].fetched.resumed_from == 5_000


@pytest.mark.parametrize("etags", [True, False])
def test_a_file_that_changed_meanwhile_is_fetched_anew(tmp_path: Path, etags: bool) -> None:
    """Without validators the two halves do not fit: the checksum says so."""
    served = archive(etags=etags)
    fixed = book_zip(messages=401)

    def change(handler: Any, body: bytes) -> bool:
        handler.whole(body, cut=5_000)
        served.files[BOOK] = fixed
        return True

    served.wrong[BOOK] = [change]
    assert fetch(tmp_path, served).exit_code == 0
    assert visible(tmp_path)[Path(BOOK).name] == fixed
    assert not leftovers(tmp_path)


def test_a_server_without_ranges_begins_again(tmp_path: Path) -> None:
    served = archive(ranges=False, wrong={BOOK: [cut_at(5_000)]})
    report = fetch(tmp_path, served)
    assert whole(tmp_path)
    assert report.files[0].fetched is not None
    assert report.files[0].fetched.resumed_from == 0


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_busy_servers_are_asked_again(tmp_path: Path, code: int) -> None:
    served = archive(wrong={BOOK: [status(code), status(code)], TRADES: [hang_up]})
    assert fetch(tmp_path, served).exit_code == 0
    assert whole(tmp_path)


def test_retry_after_is_honoured_by_everybody(tmp_path: Path) -> None:
    served = archive(wrong={BOOK: [status(429, Retry_After="1")]})
    assert fetch(tmp_path, served, jobs=1).exit_code == 0
    moments = [moment for _, _, moment in served.asked]
    assert moments[1] - moments[0] >= 1.0


def test_a_day_that_fails_is_reported_and_the_others_come(tmp_path: Path) -> None:
    other = BOOK.replace("ob500", "ob200")
    served = archive(wrong={BOOK: [status(500)] * 20, other: [status(500)] * 20})
    report = fetch(tmp_path, served)
    assert report.exit_code == 1
    assert report.to_json()["failed"] == [f"{DAY} book"]
    assert "the server answers 500; gave up after 3 attempts" in report.of("failed")[0].why
    assert set(visible(tmp_path)) == {Path(TRADES).name}


def test_a_forbidden_file_is_a_failure_not_a_missing_day(tmp_path: Path) -> None:
    report = fetch(tmp_path, archive(wrong={BOOK: [status(403)]}))
    assert report.exit_code == 1
    assert "answers 403" in report.of("failed")[0].why


def damaged_crc() -> bytes:
    """A zip of the right size whose member's data changed by one digit."""
    return book_zip().replace(b'"17.000"', b'"18.000"', 1)


DAMAGED = {
    "crc": damaged_crc(),
    "cut": book_zip()[:-500],
    "page": b"<html>come back later</html>" * 100,
    "gzip": gzip.compress(b"x" * 500)[:-6] + b"\0" * 6,
    "empty": b"",
    "other market": book_zip(symbol="ETHUSDT"),
}


@pytest.mark.parametrize("what", sorted(DAMAGED))
def test_a_damaged_file_is_never_visible(tmp_path: Path, what: str) -> None:
    """Right size, right headers, wrong content: fetched once more, and taken when it is right then."""
    assert fetch(tmp_path / "once", archive(wrong={BOOK: [instead(DAMAGED[what])]})).exit_code == 0
    assert whole(tmp_path / "once")
    served = archive(wrong={BOOK: [instead(DAMAGED[what])] * 20})
    report = fetch(tmp_path / "always", served)
    assert report.exit_code == 1
    assert set(visible(tmp_path / "always")) == {Path(TRADES).name}
    assert not leftovers(tmp_path / "always")


def test_verification_needs_a_whole_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(book_zip())
    verify_whole(path)
    path.write_bytes(damaged_crc())
    with pytest.raises(BadInputError, match="checksum"):
        verify_whole(path)
    with zipfile.ZipFile(path) as both, pytest.raises(zipfile.BadZipFile):
        both.read(both.namelist()[0])


def test_it_is_polite(tmp_path: Path) -> None:
    files = {BOOK.replace(DAY, f"2024-12-{d:02d}"): book_zip() for d in range(1, 13)}
    served = Archive(files)
    assert fetch(tmp_path, served, "2024-12-01..2024-12-12").exit_code == 0
    assert 1 <= served.most_at_once <= 2
    with pytest.raises(BadInputError, match="expected 1 to 8"):
        fetch(tmp_path, served, jobs=9)


def test_progress_grows_with_the_bytes(tmp_path: Path) -> None:
    files = {BOOK: book_zip(messages=8_000), TRADES: trades_gz()}
    told: list[float] = []
    with serving_archive(Archive(files)) as url:
        config = DownloadConfig(url, 1, QUICK)
        download(Home(tmp_path), MARKET, [DAY], config, progress=lambda share, _text: told.append(share))
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert any(0 < share < 0.5 for share in told)


def test_a_dead_server_is_given_up_once(tmp_path: Path) -> None:
    with serving_archive(archive()) as url:
        pass  # nobody listens there any more
    report = download(Home(tmp_path), MARKET, parse_dates("2024-01-01..2024-03-31"), DownloadConfig(url, 2, QUICK))
    assert report.exit_code == 1
    assert len(report.of("failed")) == len(report.files) == 182
    assert any("cannot be reached" in file.why for file in report.files)
    assert sum("has not answered once" in file.why for file in report.files) >= 178


def test_two_downloads_into_one_folder_are_refused(tmp_path: Path) -> None:
    from lob_pipeline.capture.download import _alone

    folder = download_folder(Home(tmp_path), MARKET)
    folder.mkdir(parents=True)
    with _alone(folder), pytest.raises(BadInputError, match="is running"):
        fetch(tmp_path, archive())


def test_bad_addresses_and_venues_are_bad_input(tmp_path: Path) -> None:
    for url in ("file:///etc/passwd", "ftp://host", "host"):
        with pytest.raises(BadInputError, match="no web address"):
            download(Home(tmp_path), MARKET, [DAY], DownloadConfig(url))
    with pytest.raises(BadInputError, match="no public archive"):
        download(Home(tmp_path), parse_market("binance-spot.BTCUSDT"), [DAY])


def test_the_command_downloads_and_ingests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from lob_pipeline.cli.app import main

    served = archive()
    words = ["download", str(MARKET), f"{DAY}..2024-12-02", "--home", str(tmp_path), "--json", "--ingest"]
    with serving_archive(served) as url, pytest.raises(SystemExit) as done:
        main([*words, "--base-url", url])
    result = json.loads(capsys.readouterr().out)
    assert done.value.code == 0
    assert result["missing"] == ["2024-12-02 book", "2024-12-02 trades"]
    assert {(p["table"], p["date"]) for p in result["partitions"]} >= {("l2_events", DAY), ("trades", DAY)}
    assert sum(p["rows"] for p in result["partitions"] if p["table"] == "l2_events") == 800


def test_an_interrupted_download_goes_on_where_it_was(tmp_path: Path) -> None:
    """Ctrl-C in the middle of a file: exit 1, nothing visible, and the next run asks for the rest."""
    begun = threading.Event()

    def slowly(handler: Any, body: bytes) -> bool:
        handler.head(200, len(body), ETag=handler.etag(body))
        handler.wfile.write(body[:300_000])
        begun.set()
        handler.close_connection = True
        over.wait(60)
        return True

    over = threading.Event()
    big = book_zip(messages=8_000)
    served = Archive({BOOK: big, TRADES: trades_gz()}, wrong={BOOK: [slowly]})
    words = [sys.executable, "-m", "lob_pipeline.cli", "download", str(MARKET), DAY, "--home", str(tmp_path), "--json"]
    with serving_archive(served) as url:
        process = subprocess.Popen([*words, "--base-url", url], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        part = download_folder(Home(tmp_path), MARKET) / ".parts" / Path(BOOK).name
        assert begun.wait(60)
        while not part.exists() or not part.stat().st_size:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
        over.set()  # the connection breaks: what waits for it may end
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "interrupted" in json.loads(out)["error"]
        assert Path(BOOK).name not in visible(tmp_path)
        had = part.stat().st_size
        assert download(Home(tmp_path), MARKET, [DAY], DownloadConfig(url, 2, QUICK)).exit_code == 0
    asked = [headers.get("Range") for path, headers, _ in served.asked if path == BOOK]
    assert asked[-1] == f"bytes={had}-"
    assert visible(tmp_path)[Path(BOOK).name] == big
