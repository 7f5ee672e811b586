"""One loop, stages as strategies, run folders."""
