"""Frames on their way out: clips, viewers, exported films."""
