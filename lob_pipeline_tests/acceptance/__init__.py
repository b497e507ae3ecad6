"""Acceptance on the real recordings, as commands that print what they saw: their output goes into docs/lab_log.md."""
