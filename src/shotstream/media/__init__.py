"""Files in and out: what people write, video files, contact sheets; whole or absent."""
