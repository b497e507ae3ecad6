"""The network, its losses and its company of baselines; ``stream`` is the step that serves it."""
