"""From a dataset to a plan: checks, fingerprint, presets, rules."""
