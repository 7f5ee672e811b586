"""A saved folder in a process of its own, whose script knows diffusers only."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import shotstream

pytestmark = pytest.mark.system

PROMPTS = ["a red fox runs", "sleeps"]


@pytest.fixture(scope="module")
def saved(pipeline, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "model"
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def told(pipeline) -> np.ndarray:
    return pipeline(PROMPTS, num_frames=[13, 5], seed=3).frames


PLAIN = """
    import sys
    import numpy as np
    from diffusers import DiffusionPipeline, ModularPipeline

    folder, output = sys.argv[1:]
    asked = {"prompt": ["a red fox runs", "sleeps"], "num_frames": [13, 5], "seed": 3}
    films = []
    for place in (folder, "pipeline"):
        pipe = DiffusionPipeline.from_pretrained(folder, custom_pipeline=place, trust_remote_code=True)
        films.append(pipe(**asked).frames)
    pipe = ModularPipeline.from_pretrained(folder, trust_remote_code=True)
    pipe.load_components()
    films.append(pipe(**asked, output="videos"))
    assert list(pipe.blocks.sub_blocks) == ["encode_prompt", "chunks", "output"]
    embeddings = pipe(**asked, output="prompt_embeds")
    films.append(pipe(**asked, prompt_embeds=embeddings[::-1], output="videos"))
    np.save(output, np.stack(films))
"""


def fresh(source: str, *words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    place = str(Path(shotstream.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": place, "HF_HOME": str(cwd / "hf"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", textwrap.dedent(source), *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def plain_films(saved, tmp_path_factory) -> np.ndarray:
    """A script that never imports shotstream, in a process of its own."""
    cwd = tmp_path_factory.mktemp("plain")
    done = fresh(PLAIN, saved, cwd / "films.npy", cwd=cwd)
    assert done.returncode == 0, done.stderr[-3000:]
    return np.load(cwd / "films.npy")


def test_plain_diffusers_opens_a_saved_folder(plain_films, told) -> None:
    assert np.array_equal(plain_films[0], told)
    assert np.array_equal(plain_films[1], told)


def test_a_saved_folder_is_a_modular_pipeline(plain_films, told) -> None:
    assert np.array_equal(plain_films[2], told)
    assert not np.array_equal(plain_films[3], told)  # of embeddings that were given


def test_without_the_package_one_sentence_says_so(saved, monkeypatch) -> None:
    for name in [name for name in sys.modules if name.startswith("shotstream.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "shotstream", None)
    for name in ("pipeline.py", "modular_blocks.py"):
        with pytest.raises(ImportError, match=r'not installed: pip install "shotstream\[video\]"'):
            runpy.run_path(str(saved / name))
