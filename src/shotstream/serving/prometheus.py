"""What `/metrics` tells, in Prometheus' terms."""

from __future__ import annotations

try:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
except ImportError as error:
    raise ImportError('The studio needs prometheus-client: pip install "shotstream[serve]"') from error


class Metrics:
    """Figures of one studio."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.chunk_seconds = Histogram(
            "shotstream_chunk_seconds",
            "Time to make a chunk",
            registry=registry,
            buckets=(0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 5, 10, 60),
        )
        self.prompt_to_glass_seconds = Histogram(
            "shotstream_prompt_to_glass_seconds",
            "From a command to the first frame that shows it, on a screen",
            registry=registry,
            buckets=(0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 60),
        )
        self.open_stories = Gauge("shotstream_open_stories", "Stories in the engine", registry=registry)
        self.queued_commands = Gauge("shotstream_queued_commands", "Commands that wait", registry=registry)
        self.viewers = Gauge("shotstream_viewers", "Sockets that watch a story", registry=registry)
        self.dropped_frames = Counter(
            "shotstream_dropped_frames", "Frames left out for viewers that were too slow", registry=registry
        )
        self.refused = Counter(
            "shotstream_refused_requests",
            "Requests over a limit or not allowed",
            ["reason"],
            registry=registry,
        )

    def page(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)
