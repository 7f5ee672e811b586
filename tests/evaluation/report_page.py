"""The page of a report is well-formed and stands alone."""

import re
from html.parser import HTMLParser

VOID = {"meta", "img", "br"}


class Balanced(HTMLParser):
    """Fails where an element is not closed in its order."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def check_page(text):
    """Return the elements of a page that is well-formed and needs nothing from elsewhere."""
    parser = Balanced()
    parser.feed(text)
    assert parser.open == []
    assert not re.search(r"https?://|url\(|@import", text)
    tags = {tag for tag, _ in parser.seen}
    assert not tags & {"script", "link", "iframe"}
    assert all(
        attrs["src"].startswith("data:image/jpeg;base64,") for tag, attrs in parser.seen if tag == "img"
    )
    return parser.seen
