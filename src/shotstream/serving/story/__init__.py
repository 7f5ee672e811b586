"""One story under direction: commands, live story, playback, storyboard, replay."""
