"""What is written for a model: the form of its prompts, adapting to it, and what does not fit a story."""
