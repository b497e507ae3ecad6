"""Training data: what is joined, which rows belong to which fold, how a feature is scaled, which windows exist."""
