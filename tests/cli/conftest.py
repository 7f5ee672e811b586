"""What all tests of commands share."""

from __future__ import annotations

import pytest

from shotstream.cli.shared.console import console


@pytest.fixture(autouse=True)
def _wide_console(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are printed whole; the console took its width when it was imported."""
    monkeypatch.setattr(console, "_width", 400)
