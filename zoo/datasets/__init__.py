"""Datasets of image pairs: description, discovery, checks, header repair, modality evidence."""
