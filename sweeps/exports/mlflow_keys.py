"""Names of metrics and parameters as MLflow takes them."""

from __future__ import annotations

import hashlib
import re

LONGEST_KEY = 250
"""Characters of a key that MLflow takes."""

HASH_LENGTH = 8
"""Hexadecimal digits at the end of a key that was changed."""

_REFUSED = re.compile(r"[^/\w.\- :]")


def accepted_key(key: str) -> str:
    """Return the key itself if MLflow takes it, else a similar one that it takes.

    MLflow refuses keys of more than 250 characters, keys with other characters than letters,
    digits, `_ - . : /` and spaces, and keys that are no plain paths (`a//b`, `../a`). In such a key
    refused characters become `_`, it is cut, and a hash of the whole key follows. So it is the same
    in every driver run, and two keys never become one.
    """
    parts = _REFUSED.sub("_", key).split("/")
    plain = "/".join("_" if part in ("", ".", "..") else part for part in parts)
    if plain == key and len(key) <= LONGEST_KEY:
        return key
    return f"{plain[: LONGEST_KEY - HASH_LENGTH - 1]}-{key_hash(key)}"


def key_hash(key: str) -> str:
    """Return the hash that ends the accepted form of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:HASH_LENGTH]
