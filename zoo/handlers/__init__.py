"""Ignite handlers that bundle configs name: saving registrations, metrics of a run."""
