from __future__ import annotations

import pytest

from shotstream.models.transformer import CausalWanTransformer3DModel

from ..models.conftest import tiny_transformer


@pytest.fixture
def transformer() -> CausalWanTransformer3DModel:
    return tiny_transformer()
