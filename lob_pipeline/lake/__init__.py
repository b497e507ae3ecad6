"""The lake: where partitions live, how one is written, opened, refused, locked and told apart from another."""
