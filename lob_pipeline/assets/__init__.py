"""The assets: thin loops over partition keys that call a stage and settle its outcomes. One file a group."""

import warnings

import dagster as dg

# Partitioned checks and observable sources are marked preview and beta in the pinned version; the tests cover both.
warnings.filterwarnings("ignore", category=dg.PreviewWarning)
warnings.filterwarnings("ignore", category=dg.BetaWarning)
