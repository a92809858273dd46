"""Scores stored codes: of a file, or of the trials of a sweep."""
