"""From drawn or filmed shots to latents on disk to a resumable loader."""
