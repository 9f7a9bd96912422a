"""Measurements on images that several packages share."""
