"""Files from and to the internal convention: one module a format, atomic writes."""
