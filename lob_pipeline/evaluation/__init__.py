"""What the numbers mean: cost surfaces, feasibility before any model, intervals from blocks, and the first page."""
