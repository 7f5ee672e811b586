"""From a folder of films to shards of encoded stories, stage by stage."""
