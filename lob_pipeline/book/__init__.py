"""The order book: one kernel that changes it, verdicts on its sequence, rows on a clock, and the certificate."""
