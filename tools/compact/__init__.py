"""Training of the compact weights: recipes, the two kinds of network, the log."""
