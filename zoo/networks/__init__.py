"""Registration networks: plain modules whose state dicts are the official ones."""

from zoo.networks.gradicon import GradICON

__all__ = ["GradICON"]
