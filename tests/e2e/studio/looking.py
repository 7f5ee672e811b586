"""How a page looks: axe's scan of it, and screenshots."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import shotstream

AXE = Path(shotstream.__file__).parents[2] / "studio" / "node_modules" / "axe-core" / "axe.min.js"
SERIOUS = {"serious", "critical"}
PICTURES = os.environ.get("SHOTSTREAM_PICTURES")
"""A folder for screenshots, to be looked at."""


def findings(page) -> list[str]:
    """Serious findings of axe, as ``rule: element``."""
    if not AXE.exists():
        pytest.skip("axe is missing; run make page-check")
    page.evaluate(AXE.read_text())  # past the content security policy, as the browser's own tools are
    violations = page.evaluate("axe.run().then(result => result.violations)")
    return [
        f"{found['id']}: {node['html'][:120]}"
        for found in violations
        if found["impact"] in SERIOUS
        for node in found["nodes"]
    ]


def look(page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png")
