"""Registration of one pair: intensities, initial alignment, working grid, inferers, result."""
