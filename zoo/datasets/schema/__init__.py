"""Which keys, columns and values the file of a dataset may have."""
