"""Coverage-guided fuzzing of every decoder: the kernels run as plain Python, every memory access is checked.

``python -m lob_pipeline_tests.fuzz --minutes N`` runs all of them; the suite runs a few seconds of it.
"""
