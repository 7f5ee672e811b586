"""Pixels in and out: video files and contact sheets."""
