"""Tests of the lake: publication, refusal, locks, hashes, fingerprints, ledgers."""
