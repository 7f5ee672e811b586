"""The studio on the web: FastAPI, WebSockets, and the page."""
