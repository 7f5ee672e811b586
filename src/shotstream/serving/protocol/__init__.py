"""What a browser and a story say to each other: commands, events, states."""
