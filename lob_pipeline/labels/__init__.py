"""The fate of one simulated maker order for every decision row and side: three queue models, all outcomes."""
