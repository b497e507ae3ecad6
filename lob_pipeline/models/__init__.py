"""The network, its training, its streaming step, and the baselines it must beat."""
