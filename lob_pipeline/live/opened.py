"""A bundle's folder opened for forecasting: who it is, its streaming step, the profile and the grid it carries."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.instrument import Instrument, Market, parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.features.profile import Profile, checked, neutral_profile
from lob_pipeline.lake.home import Home
from lob_pipeline.live.forecast import Forecaster, Identity
from lob_pipeline.models.config import ModelConfig, receptive_field
from lob_pipeline.registry.bundle import Bundle, load_bundle, stream_model
from lob_pipeline.registry.releases import ALIASES, read_releases
from lob_pipeline.registry.select import find_release


@dataclass(frozen=True)
class OpenBundle:
    """A checked bundle and what a forecaster takes from it."""

    bundle: Bundle
    identity: Identity

    def forecaster(self) -> Forecaster:
        """Return a forecaster that has seen no row."""
        return Forecaster(self.identity, stream_model(self.bundle))

    @property
    def instrument(self) -> Instrument:
        """Return the market's instrument by the built-in markets.toml alone (``instrument_in``)."""
        return self.instrument_in(None)

    def instrument_in(self, home: Home | None) -> Instrument:
        """Return the market's instrument with the tick and lot that the bundle's features were computed with.

        ``home``: whose own markets.toml is in force over the built-in one. Raises ``RefusedError`` where another of the
        settings is not the bundle's.
        """
        said = self.bundle.info["instrument"]
        tick, lot = said.get("tick"), said.get("lot")
        user = home.markets if home else None
        found = instrument(self.identity.market, str(tick) if tick else None, str(lot) if lot else None, user)
        for name, value in said.items():
            if name not in ("tick", "lot") and str(getattr(found, name, None)) != value:
                raise RefusedError(
                    f"bundle {self.identity.bundle} was trained with {name} {value}, {self.identity.market} has "
                    f"{getattr(found, name, None)} here: train it again"
                )
        return found

    @property
    def profile(self) -> tuple[Profile, str]:
        """Return the profile that the bundle carries and its version; the neutral one and ``none`` without."""
        arrays = self.bundle.group("profile")
        if not arrays:
            return neutral_profile(), "none"
        missing = [name for name in Profile._fields if name not in arrays]
        if missing:
            raise RefusedError(
                f"bundle {self.identity.bundle} carries a profile without {missing[0]}: register it again"
            )
        try:
            profile = checked(Profile(*(arrays[name].astype(np.float64) for name in Profile._fields)))
        except ValueError as error:
            raise RefusedError(f"bundle {self.identity.bundle}: {error}: register it again") from error
        return profile, str(self.bundle.info["profile"]["version"])


def open_bundle(folder: Path, market: Market | None = None, alias: str = "", sha256: str | None = None) -> OpenBundle:
    """Open and check the bundle in ``folder``.

    ``market``: what it is to forecast; ``alias``: under which it was asked for; ``sha256``: what the ledger says it is.
    Raises ``BadInputError`` for no folder, ``RefusedError`` for changed files, other features, another market.
    """
    bundle = load_bundle(folder, sha256)
    if market is not None and bundle.market != str(market):
        raise RefusedError(
            f"bundle {bundle.sha12} was trained on {bundle.market}, not on {market}: give a bundle of that market"
        )
    stream_model(bundle)  # before anything else is opened: it says what does not fit
    config = ModelConfig.from_json(bundle.model_config)
    clock = parse_clock(bundle.clock_id)
    identity = Identity(
        market=parse_market(bundle.market),
        clock_id=clock.id,
        step_ns=clock.step_ns,
        bundle_sha256=bundle.sha256,
        model_name=bundle.name,
        model_version=bundle.semver,
        alias=alias,
        features_fingerprint=bundle.features_fingerprint,
        inputs=bundle.features,
        window=config.window,
        receptive_field=receptive_field(config),
    )
    identity.columns()
    return OpenBundle(bundle, identity)


def open_released(home: Home, market: Market, model: str) -> OpenBundle:
    """Open the bundle that ``NAME@ALIAS`` (or ``NAME@VERSION``) names in the release ledger; mlflow is not asked.

    Raises ``BadInputError`` for another form and where nobody carries the alias, else as ``open_bundle`` does.
    """
    release = find_release(read_releases(home), model, str(market))
    alias = model.rpartition("@")[2]
    return open_bundle(release.path, market, alias if alias in ALIASES else "", release.bundle_sha256)
