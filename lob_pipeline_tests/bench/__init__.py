"""Speed as ratios against peers measured in the same run, interleaved, medians of five (``make bench``)."""
