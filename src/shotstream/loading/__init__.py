"""Weight files of every layout, networks from them, and model folders."""
