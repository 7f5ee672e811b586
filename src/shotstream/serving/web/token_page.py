"""The page that asks for the token."""

from __future__ import annotations

from starlette.responses import HTMLResponse

STYLES, ICON = "/assets/page.css", "/icon.svg"
"""What the page looks like: the only files that need no token."""

_PAGE = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>ShotStream studio</title>
<link rel="icon" href=".{ICON}" type="image/svg+xml"><link rel="stylesheet" href=".{STYLES}"></head><body>
<header class="header"><span class="wordmark"><img src=".{ICON}" alt="">ShotStream</span></header>
<main class="start"><h1>This studio asks for its token.</h1>
<p class="lead" id="where">It was printed when the studio started: what follows “token=” in the address.</p>
<form class="panel begin" method="get" action="./"><label for="token">The token</label>
<input id="token" name="token" type="password" autocomplete="current-password" aria-describedby="where said"
autofocus required><p class="wrong" id="said" role="alert">SAID</p>
<div class="row end"><button class="primary">Open the studio</button></div></form></main>
</body></html>
"""
_NOT_THE_TOKEN = "That is not the token of this studio. After a new start it may be another one."


def ask_for_token(*, tried: bool) -> HTMLResponse:
    """The page.

    Args:
        tried: Whether a wrong token was given.
    """
    return HTMLResponse(_PAGE.replace("SAID", _NOT_THE_TOKEN if tried else ""), 401)
