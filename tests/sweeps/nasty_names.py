"""Names of folders that are legal on Linux and mean something else in a URL or on a terminal."""

from __future__ import annotations

NASTY_NAMES = (
    "My Drive",
    "100%",
    "%41",  # decoded once too often it is A
    "a%2Fb",
    "what?",
    "a?mode=memory&b",
    "run#3",
    "étude",
    "e\u0301tude",  # the same word with a combining accent: another folder
    "~",
    "~nobody",
    "-x",
    "--workspace",
    "back\\slash",
    "line\nbreak",
    "C:",
    "a:b@c",
    "a;b&c",
    "$HOME {SCHEMA_VERSION}",
    "[bold] [x] 'q' \"d\"",
    "a+b=c,d",
    ".hidden",
    "sqlite:",
)

NASTY_FOLDER = "-~ %41 100% a?b#c&d;e:f$g{h}[x]'\"\\\n\u00e9 e\u0301"
"""One name with most of these characters."""
