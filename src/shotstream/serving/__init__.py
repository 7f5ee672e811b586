"""Stories told live: their state, the thread that makes them, and what is said to a browser."""
