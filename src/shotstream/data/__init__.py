"""From drawn shots to latents on disk to batches whose order is a pure function of the step."""
