"""A story being told: pipeline, session, memory, rollout."""
