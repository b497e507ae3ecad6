"""The mutation score: every known defect, injected into real recordings, must be caught by a check with a name.

A mutator (``mutators``) changes the bytes of a recording as the defect would have; ``trial`` puts the files through
the real ingest and book stages in a scratch home and returns only what those said; ``judge`` decides from that alone
whether the mutant was killed. Nothing hands a check the mutator's label.
"""
