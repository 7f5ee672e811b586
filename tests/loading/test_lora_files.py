"""What a command line says of LoRAs is understood, or refused, before torch is loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest

from shotstream.loading.lora_files import Lora, adapter_name

pytestmark = pytest.mark.unit

WEIGHTS = (16).to_bytes(8, "little") + b'{"__metadata__":{'
"""How a safetensors file begins."""


@pytest.fixture
def style(tmp_path):
    (tmp_path / "style.safetensors").write_bytes(WEIGHTS)
    return tmp_path / "style.safetensors"


def test_a_file_may_have_a_scale(style):
    assert Lora.parse(str(style)) == (style, 1.0)
    assert Lora.parse(f"{style}:0.5") == (style, 0.5)
    assert Lora.parse(f"{style}:-2e-1") == (style, -0.2)


def test_a_name_with_a_colon_is_a_name_where_there_is_such_a_file(tmp_path):
    (tmp_path / "a:2").write_bytes(b"\x80\x02}")
    assert Lora.parse(str(tmp_path / "a:2")) == (tmp_path / "a:2", 1.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "--lora is '', which names no file; give FILE or FILE:SCALE"),
        (":1", "--lora is ':1', which names no file"),
        (":", "--lora is ':', which names no file"),
        ("{style}:abc", "and 'abc' behind the colon is no number; give FILE or FILE:SCALE"),
        ("{style}:", "and '' behind the colon is no number"),
        ("{style}:nan", "and 'nan' behind the colon is no number"),
        ("{style}:inf", "and 'inf' behind the colon is no number"),
        ("nowhere", "there is no weight file nowhere; check the path"),
        ("nowhere:1", "there is no weight file nowhere; check the path"),
        ("C:\\\\style.safetensors", "there is no weight file C:"),
        (__file__, "is a text that begins with .*, not weights"),
    ],
)
def test_what_names_no_lora_is_refused(style, text, message):
    with pytest.raises(ValueError, match=message):
        Lora.parse(text.format(style=style)).check()


def test_they_are_read_without_torch():
    code = "import sys, shotstream.cli.generate, shotstream.loading.lora_files; print('torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"


def test_a_lora_is_called_after_its_file_or_folder(tmp_path):
    assert adapter_name(tmp_path / "my style.safetensors") == "my_style"
    assert adapter_name(tmp_path / "fox" / "adapter_model.safetensors") == "fox"
