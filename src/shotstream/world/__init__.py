"""The story world: draws short multi-shot cartoons with exact captions."""
