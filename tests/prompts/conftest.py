"""The drawn world's form, and an endpoint."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shotstream.prompts.prompt_form import PromptForm
from shotstream.world.world_form import world_form
from tests.chat_server import ChatServer


@pytest.fixture(scope="session")
def form() -> PromptForm:
    return world_form()


@pytest.fixture
def chat() -> Iterator[ChatServer]:
    server = ChatServer()
    yield server
    server.close()
