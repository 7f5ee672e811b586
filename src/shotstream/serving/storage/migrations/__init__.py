"""How the tables came to be, one step after another; run by `shotstream.serving.database`."""
