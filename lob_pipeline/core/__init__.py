"""Units, instruments, table declarations: what every other room may import and nothing else may redefine."""
