"""Writes the example workflows; with --pictures also makes their films, with mini, and a picture of each."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER))

from comfyui_shotstream import NODE_CLASS_MAPPINGS  # noqa: E402

CORE: dict[str, tuple[list[tuple[str, str]], list[str], list[tuple[str, str]]]] = {
    "SaveVideo": (
        [("video", "VIDEO")],
        ["filename_prefix", "format", "codec"],
        [],
    ),
    "PreviewImage": ([("images", "IMAGE")], [], []),
    "PreviewAny": ([("source", "*")], [], []),
    "ImageFromBatch": ([("image", "IMAGE")], ["batch_index", "length"], [("IMAGE", "IMAGE")]),
    "VHS_VideoCombine": ([("images", "IMAGE")], ["frame_rate"], [("Filenames", "VHS_FILENAMES")]),
}
"""Sockets, widgets and outputs of the nodes of others that the examples use."""


class Workflow:
    """A workflow as ComfyUI's page saves it, built node by node."""

    def __init__(self) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.links: list[list[Any]] = []

    def add(self, kind: str, column: int, row: float, **inputs: Any) -> int:
        """Add a node; an input that is a tuple (node, output) is a link. Returns its id."""
        number = len(self.nodes) + 1
        sockets, widgets, outputs = _shape(kind)
        entries = []
        for name, wire in sockets:
            link = self._link(inputs.pop(name), number, len(entries), wire) if name in inputs else None
            entries.append({"name": name, "type": wire, "link": link})
        values = []
        for name, default in widgets:
            value = inputs.pop(name, default)
            if isinstance(value, tuple):
                wire = self.nodes[value[0] - 1]["outputs"][value[1]]["type"]
                link = self._link(value, number, len(entries), wire)
                entries.append({"name": name, "type": wire, "link": link, "widget": {"name": name}})
                value = default
            values.append(value)
            if name == "seed" and kind == "ShotStreamStory":
                values.append("fixed")  # what the page does with the seed after a run
        assert not inputs, f"{kind} has no {', '.join(inputs)}"
        self.nodes.append(
            {
                "id": number,
                "type": kind,
                "pos": [40 + 380 * column, 40 + 300 * row],
                "size": [340, 60 + 26 * (len(entries) + len(outputs)) + 30 * len(values)],
                "flags": {},
                "order": number - 1,
                "mode": 0,
                "inputs": entries,
                "outputs": [{"name": name, "type": wire, "links": []} for name, wire in outputs],
                "properties": {"Node name for S&R": kind},
                "widgets_values": values,
            }
        )
        return number

    def _link(self, source: tuple[int, int], target: int, slot: int, wire: str) -> int:
        number = len(self.links) + 1
        self.links.append([number, source[0], source[1], target, slot, wire])
        self.nodes[source[0] - 1]["outputs"][source[1]]["links"].append(number)
        return number

    def finish(self) -> dict[str, Any]:
        """What the page saves."""
        return {
            "last_node_id": len(self.nodes),
            "last_link_id": len(self.links),
            "nodes": self.nodes,
            "links": self.links,
            "groups": [],
            "config": {},
            "extra": {},
            "version": 0.4,
        }


def _shape(kind: str) -> tuple[list[tuple[str, str]], list[tuple[str, Any]], list[tuple[str, str]]]:
    """Sockets, widgets with defaults, and outputs of a node."""
    if kind in CORE:
        sockets, names, outputs = CORE[kind]
        return sockets, [(name, None) for name in names], outputs
    node = NODE_CLASS_MAPPINGS[kind]
    types = node.INPUT_TYPES()
    sockets, widgets = [], []
    for name, (wire, *settings) in {**types.get("required", {}), **types.get("optional", {})}.items():
        if isinstance(wire, list) or wire in ("INT", "FLOAT", "STRING"):
            first = wire[0] if isinstance(wire, list) and wire else ""
            widgets.append((name, settings[0].get("default", first) if settings else first))
        else:
            sockets.append((name, wire))
    return sockets, widgets, list(zip(node.RETURN_NAMES, node.RETURN_TYPES, strict=True))


def workflows() -> dict[str, dict[str, Any]]:
    """Every example by its name."""
    return {
        "first_story": first_story(),
        "memory_and_retake": memory_and_retake(),
        "picture_of_another_film": picture_of_another_film(),
    }


def first_story() -> dict[str, Any]:
    """Three shots, saved by the core node and by VideoHelperSuite."""
    flow = Workflow()
    model = flow.add("ShotStreamLoad", 0, 0)
    story = flow.add("ShotStreamStory", 0, 1, cast="An orange rabbit.", setting="On a beach on a sunny day.")
    one = flow.add("ShotStreamShot", 1, 0, prompt="Wide shot of the rabbit waving hello.")
    two = flow.add("ShotStreamShot", 1, 1, shots=(one, 0), prompt="Close up. The rabbit looks around.")
    three = flow.add("ShotStreamShot", 1, 2, shots=(two, 0), prompt="Wide shot of the rabbit looking around.")
    film = flow.add("ShotStreamDirect", 2, 0, model=(model, 0), story=(story, 0), shots=(three, 0))
    saved = {"filename_prefix": "video/shotstream", "format": "auto", "codec": "auto"}
    flow.add("SaveVideo", 3, 0, video=(film, 1), **saved)
    flow.add("VHS_VideoCombine", 3, 1, images=(film, 0), frame_rate=(film, 3))
    return flow.finish()


def memory_and_retake() -> dict[str, Any]:
    """A frame is pinned, a shot made anew, and the last one remembers both."""
    flow = Workflow()
    model = flow.add("ShotStreamLoad", 0, 0)
    story = flow.add(
        "ShotStreamStory",
        0,
        1,
        cast="An orange cat with a crown.",
        setting="In a forest in the evening.",
        seed=3,
    )
    one = flow.add("ShotStreamShot", 1, 0, prompt="Wide shot of the cat waving hello.")
    memory = flow.add("ShotStreamMemory", 1, 1, shots=(one, 0), pins="0:0", rule="opening")
    two = flow.add("ShotStreamShot", 1, 2, shots=(memory, 0), prompt="Close up. The cat looks around.")
    again = flow.add("ShotStreamRetake", 2, 0, shots=(two, 0), shot=1, seed=8, prompt="")
    three = flow.add("ShotStreamShot", 2, 1, shots=(again, 0), prompt="Wide shot of the cat looking around.")
    film = flow.add("ShotStreamDirect", 3, 0, model=(model, 0), story=(story, 0), shots=(three, 0))
    look = flow.add("ShotStreamContinuity", 4, 0, film=(film, 5), shot=2)
    flow.add("PreviewImage", 5, 0, images=(look, 0))
    flow.add("PreviewImage", 5, 1, images=(look, 1))
    flow.add("PreviewAny", 5, 2, source=(look, 2))
    return flow.finish()


def picture_of_another_film() -> dict[str, Any]:
    """A frame of one film is the reference of another."""
    flow = Workflow()
    model = flow.add("ShotStreamLoad", 0, 0)
    meadow = flow.add(
        "ShotStreamStory", 0, 1, cast="A purple bear.", setting="In a meadow on a sunny day.", seed=1
    )
    night = flow.add("ShotStreamStory", 0, 2, cast="A purple bear.", setting="In the snow at night.", seed=1)
    shot = flow.add("ShotStreamShot", 1, 0, prompt="Close up. The bear looks around.")
    first = flow.add("ShotStreamDirect", 2, 0, model=(model, 0), story=(meadow, 0), shots=(shot, 0))
    frame = flow.add("ImageFromBatch", 3, 0, image=(first, 0), batch_index=8, length=1)
    memory = flow.add(
        "ShotStreamMemory", 4, 0, references=(frame, 0), reference_prompt="Close up. The bear looks around."
    )
    other = flow.add("ShotStreamShot", 4, 1, shots=(memory, 0), prompt="Wide shot of the bear waving hello.")
    film = flow.add("ShotStreamDirect", 5, 0, model=(model, 0), story=(night, 0), shots=(other, 0))
    flow.add("PreviewImage", 6, 0, images=(film, 0))
    return flow.finish()


def write_picture(name: str, path: Path) -> None:
    """Make the films of a workflow, and a picture with a row for each of their shots."""
    import numpy as np
    from PIL import Image

    sys.path.insert(0, str(FOLDER.parents[1]))
    from comfyui_shotstream import host
    from comfyui_shotstream.making import Film
    from tests.integrations.comfy_engine import Engine, VideoFromFile, to_graph

    host.video_of = lambda file: VideoFromFile(str(file))
    results = Engine(NODE_CLASS_MAPPINGS).run(to_graph(workflows()[name], NODE_CLASS_MAPPINGS))
    films = [output for outputs in results.values() for output in outputs if isinstance(output, Film)]
    rows = []
    for film in films:
        for shot in film.shots:
            places = np.linspace(0, len(shot.frames) - 1, 5).round().astype(int)
            rows.append(np.concatenate(shot.frames[places], axis=1))
    Image.fromarray(np.concatenate(rows)).save(path, quality=85)


if __name__ == "__main__":
    for title, content in workflows().items():
        target = FOLDER / "example_workflows" / f"{title}.json"
        target.write_text(json.dumps(content, indent=2) + "\n")
        if "--pictures" in sys.argv:
            write_picture(title, target.with_suffix(".jpg"))
