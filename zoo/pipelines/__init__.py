"""One module per use case, from files to files."""
