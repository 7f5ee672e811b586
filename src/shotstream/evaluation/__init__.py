"""What the paper measures about a film: shots that hold together, cuts where asked, words shown."""
