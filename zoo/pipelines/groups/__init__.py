"""Use cases that register a group of images: a template, and the labels of several atlases."""
