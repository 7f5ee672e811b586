"""Networks only: they hold weights, never the state of a story."""
