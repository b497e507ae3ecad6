"""Tests, mirrored by room. ``naive/`` holds the slow, obvious reference implementations."""
