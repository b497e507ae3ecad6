"""The recorder against the local exchange for a long time, with everything going wrong."""
