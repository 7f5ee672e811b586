"""A small executor of ComfyUI graphs, by the documented contract of nodes.

Inputs are checked against INPUT_TYPES and VALIDATE_INPUTS, links against RETURN_TYPES. A node runs again only
if its own inputs, its IS_CHANGED or an ancestor changed. Everything runs in inference mode, as in ComfyUI.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

Graph = dict[str, dict[str, Any]]
"""ComfyUI's API format: by id, ``class_type`` and ``inputs``; a link is ``[id, output]``."""


class InterruptProcessingException(Exception):
    """What ComfyUI raises in a node that the user stops."""


class SaveVideo:
    """Core "Save Video"."""

    RETURN_TYPES = ()
    FUNCTION = "execute"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        formats, codecs = (["auto", "mp4"], {"default": "auto"}), (["auto", "h264"], {"default": "auto"})
        prefix = ("STRING", {"default": "video/ComfyUI"})
        return {
            "required": {"video": ("VIDEO",), "filename_prefix": prefix, "format": formats, "codec": codecs}
        }

    def execute(self, video, filename_prefix, format, codec):
        assert Path(video.file).is_file()
        return {"ui": {}, "result": ()}


class PreviewImage:
    """Core "Preview Image"."""

    RETURN_TYPES = ()
    FUNCTION = "execute"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"images": ("IMAGE",)}}

    def execute(self, images):
        assert images.ndim == 4
        assert images.shape[-1] == 3
        assert images.dtype == torch.float32
        return ()


class PreviewAny:
    """Core "Preview as Text"."""

    RETURN_TYPES = ()
    FUNCTION = "execute"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"source": ("*",)}}

    def execute(self, source):
        return {"ui": {"text": (str(source),)}, "result": ()}


class ImageFromBatch:
    """Core "Image From Batch"."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls):
        first, length = ("INT", {"default": 0, "min": 0}), ("INT", {"default": 1, "min": 1})
        return {"required": {"image": ("IMAGE",), "batch_index": first, "length": length}}

    def execute(self, image, batch_index, length):
        return (image[batch_index : batch_index + length].clone(),)


class VHSVideoCombine:
    """VideoHelperSuite's "Video Combine", as far as its inputs go."""

    RETURN_TYPES = ("VHS_FILENAMES",)
    FUNCTION = "execute"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        rate = ("FLOAT", {"default": 8, "min": 1, "step": 1})
        return {"required": {"images": ("IMAGE",), "frame_rate": rate}}

    def execute(self, images, frame_rate):
        assert images.shape[-1] == 3
        return ([len(images), frame_rate],)


CORE = {
    "SaveVideo": SaveVideo,
    "PreviewImage": PreviewImage,
    "PreviewAny": PreviewAny,
    "ImageFromBatch": ImageFromBatch,
    "VHS_VideoCombine": VHSVideoCombine,
}


class VideoFromFile:
    """ComfyUI's VIDEO of a file."""

    def __init__(self, file: str) -> None:
        self.file = file


class Comfy:
    """ComfyUI's own modules, as nodes import them; see `install`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.progress: list[tuple[int, int]] = []
        self.previews: list[Any] = []
        self.interrupt_after: int | None = None
        """Denoising steps after which the user stops."""

    @property
    def steps(self) -> int:
        """Denoising steps of the last run so far."""
        return self.progress[-1][0] if self.progress else 0

    def install(self, monkeypatch: Any) -> None:
        """Put them in the place of the modules."""
        comfy = self

        class ProgressBar:
            def __init__(self, total: int) -> None:
                self.total = total

            def update_absolute(self, value: int, total: int, preview: Any = None) -> None:
                assert value <= total
                comfy.progress.append((value, total))
                if preview is not None:
                    comfy.previews.append(preview)

        def throw() -> None:
            if comfy.interrupt_after is not None and comfy.steps >= comfy.interrupt_after:
                raise InterruptProcessingException

        modules: dict[str, dict[str, Any]] = {
            "comfy": {},
            "comfy.utils": {"ProgressBar": ProgressBar},
            "comfy.model_management": {"throw_exception_if_processing_interrupted": throw},
            "comfy_api": {},
            "comfy_api.input_impl": {"VideoFromFile": VideoFromFile},
            "folder_paths": {
                "models_dir": str(self.folder / "models"),
                "get_temp_directory": lambda: str(self.folder / "temp"),
                "get_filename_list": lambda kind: sorted(p.name for p in (self.folder / kind).glob("*")),
                "get_full_path": lambda kind, name: str(self.folder / kind / name),
            },
        }
        for name, values in modules.items():
            module = ModuleType(name)
            vars(module).update(values)
            monkeypatch.setitem(sys.modules, name, module)


class Engine:
    """Runs graphs, and remembers what their nodes gave.

    Args:
        nodes: Node classes by name.
    """

    def __init__(self, nodes: dict[str, type]) -> None:
        self.nodes = {**nodes, **CORE}
        self.ran: list[str] = []
        """Classes of the nodes that the last run ran, in order."""
        self.ui: dict[str, Any] = {}
        self._outputs: dict[Any, tuple[Any, ...]] = {}

    def run(self, graph: Graph) -> dict[str, tuple[Any, ...]]:
        """Run a graph; returns the outputs of every node by its id."""
        for node in graph.values():
            self._validate(graph, node)
        self.ran, self.ui = [], {}
        results: dict[str, tuple[Any, ...]] = {}
        wanted = [
            key
            for key, node in graph.items()
            if getattr(self.nodes[node["class_type"]], "OUTPUT_NODE", False)
        ]
        assert wanted, "a graph without an output node does nothing"
        kept = {}
        with torch.inference_mode():
            for key in wanted:
                self._execute(graph, key, results, kept)
        self._outputs = kept
        return results

    def _execute(self, graph: Graph, key: str, results: dict[str, Any], kept: dict[Any, Any]) -> None:
        if key in results:
            return
        node = graph[key]
        kind = self.nodes[node["class_type"]]
        values = {}
        for name, value in node["inputs"].items():
            if is_link(value):
                self._execute(graph, value[0], results, kept)
                value = results[value[0]][value[1]]
            values[name] = value
        signature = self._signature(graph, key)
        output = self._outputs.get(signature)
        if output is None:
            self.ran.append(node["class_type"])
            output = getattr(kind(), kind.FUNCTION)(**values)
            if isinstance(output, dict):
                self.ui[key] = output["ui"]
                output = output["result"]
            assert len(output) == len(kind.RETURN_TYPES)
            self._outputs[signature] = output
        results[key] = kept[signature] = output

    def _signature(self, graph: Graph, key: str) -> Any:
        node = graph[key]
        kind = self.nodes[node["class_type"]]
        changed = None
        if hasattr(kind, "IS_CHANGED"):
            constants = {name: None if is_link(value) else value for name, value in node["inputs"].items()}
            changed = kind.IS_CHANGED(**constants)
        inputs = tuple(
            (name, (self._signature(graph, value[0]), value[1]) if is_link(value) else value)
            for name, value in sorted(node["inputs"].items())
        )
        return node["class_type"], changed, inputs

    def _validate(self, graph: Graph, node: dict[str, Any]) -> None:
        """Refuse a node as ComfyUI does before anything runs."""
        kind = self.nodes[node["class_type"]]
        types = kind.INPUT_TYPES()
        required, optional = types.get("required", {}), types.get("optional", {})
        assert set(required) <= set(node["inputs"]), f"{node['class_type']} lacks inputs"
        assert set(node["inputs"]) <= {*required, *optional}, f"{node['class_type']} has other inputs"
        for name, value in node["inputs"].items():
            wanted, *settings = {**required, **optional}[name]
            if is_link(value):
                source = self.nodes[graph[value[0]]["class_type"]]
                assert wanted in ("*", source.RETURN_TYPES[value[1]]), f"{name} of {node['class_type']}"
                continue
            checked = {"INT": int, "FLOAT": (int, float), "STRING": str}
            if isinstance(wanted, list):
                assert value in wanted, (name, value, wanted)
            else:
                assert isinstance(value, checked[wanted]), (name, value)
            limits = settings[0] if settings else {}
            assert limits.get("min", value) <= value <= limits.get("max", value), (name, value)
        if hasattr(kind, "VALIDATE_INPUTS"):
            taken = inspect.signature(kind.VALIDATE_INPUTS).parameters
            constants = {
                name: value for name, value in node["inputs"].items() if name in taken and not is_link(value)
            }
            answer = kind.VALIDATE_INPUTS(**constants)
            if answer is not True:
                raise ValueError(answer)


def is_link(value: Any) -> bool:
    """Whether an input comes from another node."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)


def to_graph(workflow: dict[str, Any], nodes: dict[str, type]) -> Graph:
    """Turn a workflow as ComfyUI's page saves it into a graph that runs, as the page does."""
    links = {link[0]: [str(link[1]), link[2]] for link in workflow["links"]}
    graph: Graph = {}
    for node in workflow["nodes"]:
        kind = {**nodes, **CORE}[node["type"]]
        types = kind.INPUT_TYPES()
        linked = {
            entry["name"]: links[entry["link"]] for entry in node["inputs"] if entry["link"] is not None
        }
        values = iter(node["widgets_values"])
        inputs: dict[str, Any] = {}
        for name, (wanted, *settings) in {**types.get("required", {}), **types.get("optional", {})}.items():
            if isinstance(wanted, list) or wanted in ("INT", "FLOAT", "STRING"):
                inputs[name] = next(values)
                if settings and settings[0].get("control_after_generate"):
                    next(values)
            if name in linked:
                inputs[name] = linked[name]
        assert next(values, None) is None, f"{node['type']} has too many values"
        graph[str(node["id"])] = {"class_type": node["type"], "inputs": inputs}
    return graph
