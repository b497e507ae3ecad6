"""A simulated market: an order-level matching engine, the agents that trade on it, and the venue's archive format.

Nothing here reads the lake; what it writes is ingested like any recording.
"""
