"""Learning from limit-order books, and finding out honestly whether a model deserves capital."""

__version__ = "0.1.0"
