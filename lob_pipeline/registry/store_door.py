"""Where MLflow's store of a home is, how it is opened, and its errors in one sentence."""

from __future__ import annotations

import logging
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lob_pipeline.core.errors import LobError
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.storage import replace_into, storing

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOCK_WAIT_S = 5.0
_SQLITE = "sqlite:///"
# MLflow loads pickles by default, reports usage home, keeps connections open to a database file that was replaced
# meanwhile, and retries an unreachable server for minutes.
_ALWAYS = {
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "NullPool",
}
_UNLESS_SET = {
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


@dataclass(frozen=True)
class Place:
    """``uri``: the tracking store. ``database``: its file, None unless SQLite. ``artifacts``: None: the server's."""

    uri: str
    database: Path | None
    artifacts: str | None


def find_place(home: Home) -> Place:
    """Return where a home's store is: MLFLOW_TRACKING_URI, else ``mlruns/`` in a home that was named, else beside it.

    The default home is ``data/`` in the project; its registry is the project's ``mlruns/`` (CONTRACT.md, MLflow).
    """
    folder = (home.root if home.given else home.root.parent) / "mlruns"
    named = os.environ.get("MLFLOW_TRACKING_URI")
    uri = named or f"{_SQLITE}{folder / 'mlflow.db'}"
    if uri.startswith(_SQLITE):
        database = Path(uri.removeprefix(_SQLITE)).absolute()
        return Place(f"{_SQLITE}{database}", database, str(database.parent / "artifacts"))
    remote = uri.startswith(("http://", "https://", "databricks"))
    return Place(uri, None, None if remote else str(folder / "artifacts"))


def connect(place: Place, say: Callable[[str], None] | None, *, may_create: bool) -> MlflowClient:
    """Return a client of the store after making sure that it answers and can be written."""
    if place.database is not None:
        _check_database(place.database, say, may_create)
    os.environ.update(_ALWAYS)
    for name, value in _UNLESS_SET.items():
        os.environ.setdefault(name, value)
    with speaking(place):
        from mlflow import MlflowClient

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        if place.database is not None and not place.database.exists():
            make_database(place.database)
        client = MlflowClient(tracking_uri=place.uri, registry_uri=place.uri)
        client.search_experiments(max_results=1)  # opens the store
    return client


def make_database(path: Path) -> None:
    """Make the tables in a file of another name and rename it: a killed process leaves no half-made database."""
    from mlflow import MlflowClient

    for stale in path.parent.glob(f"{path.name}.making.*"):
        stale.unlink()
    fresh = path.with_name(f"{path.name}.making.{os.getpid()}")
    uri = f"{_SQLITE}{fresh}"
    MlflowClient(tracking_uri=uri, registry_uri=uri).search_experiments(max_results=1)
    replace_into(fresh, path)


def _check_database(path: Path, say: Callable[[str], None] | None, may_create: bool) -> None:
    if not path.exists():
        if not may_create:
            raise LobError(
                f"MLflow's database {path} is gone, but the release ledger knows registered bundles: put it back, or "
                "make it again from the ledger with `lob models --repair`; nothing was changed"
            )
        with storing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        if say is not None:
            say(f"making MLflow's database {path} (once, a few seconds)")
        return
    try:
        with closing(sqlite3.connect(path, timeout=LOCK_WAIT_S, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
            database.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        raise LobError(
            f"MLflow's database {path} cannot be written now ({error}): another program may hold it; "
            "close that and run this again; nothing was changed"
        ) from error
    except sqlite3.DatabaseError as error:
        raise LobError(_damaged(path, str(error))) from error
    if found != "ok":
        raise LobError(_damaged(path, str(found)))


def _damaged(path: Path, what: str) -> str:
    return (
        f"MLflow's database {path} is damaged ({what.splitlines()[0]}): move it away and make it again from the ledger "
        "with `lob models --repair`; nothing was changed"
    )


@contextmanager
def speaking(place: Place) -> Iterator[None]:
    """Keep MLflow's own lines off stdout, and say its errors in one sentence (``LobError``)."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with redirect_stdout(sys.stderr):
            yield
    except (MlflowException, SQLAlchemyError, sqlite3.Error, ConnectionError) as error:
        words = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise LobError(
            f"MLflow's store {place.uri} failed ({words[:200]}): the release ledger was not changed by it; "
            "put the store right and run this again"
        ) from error
