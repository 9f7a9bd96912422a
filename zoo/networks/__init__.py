"""Registration networks: plain modules whose state dicts are the official ones."""

from zoo.networks.gradicon import GradICON
from zoo.networks.unireg import UniReg

__all__ = ["GradICON", "UniReg"]
