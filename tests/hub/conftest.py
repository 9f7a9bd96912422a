"""The loopback Hub, and the command run against it in a process of its own.

huggingface_hub reads HF_ENDPOINT and HF_HOME when it is imported, so each command is a new process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.hub_cases import finish
from support.loopback import LoopbackHub


@dataclass
class User:
    """A user with a Hugging Face home of their own, whose computer knows one Hub."""

    hub: LoopbackHub
    home: Path

    def environment(self, **more: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
        own = {
            "HF_ENDPOINT": self.hub.url,
            "HF_HOME": str(self.home),
            "HF_TOKEN": "hf_test",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "127.0.0.1",
            "OMP_NUM_THREADS": "1",
        }
        return {**kept, **own, **more}

    def start(self, *words: str, **more: str) -> subprocess.Popen[str]:
        """Start `regzoo WORDS` in a process of its own."""
        return self.python("-m", "zoo", *words, **more)

    def python(self, *words: str, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *words],
            env=self.environment(**more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, **more: str) -> tuple[int, str, str]:
        """Run `regzoo WORDS`: exit code, output, errors."""
        return finish(self.start(*words, **more))

    def weights(self) -> list[Path]:
        """Return every safetensors file in this home, complete or not."""
        return [p for p in self.home.rglob("*") if p.is_file() and p.suffix == ".safetensors"]


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    server = LoopbackHub()
    yield server
    server.close()


@pytest.fixture
def user(hub: LoopbackHub, tmp_path: Path) -> User:
    return User(hub, tmp_path / "home")


@pytest.fixture
def hub_here(hub: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LoopbackHub:
    """The loopback Hub for the client in this process, which may have been imported earlier."""
    from huggingface_hub import constants, hf_api

    monkeypatch.setattr(hf_api.api, "endpoint", hub.url)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    template = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    return hub
