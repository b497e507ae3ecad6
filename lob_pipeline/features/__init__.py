"""Features of the book: one declaration each (registry), one kernel (step), two callers (batch, live)."""
