"""What ComfyUI finds where this folder lies in its custom_nodes."""

from .comfyui_shotstream import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
