"""The library of stories on disk."""
