"""Getting market data: the 24/7 recorder, its append-only segments and ledger, and the archive downloader."""
