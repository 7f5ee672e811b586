"""How fast stories are told, and whether the loop that tells them stays clean."""
