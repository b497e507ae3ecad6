"""Immutable bundles, the release ledger, and MLflow behind one door."""
