"""Scores stored codes: those of a file, or those of the trials of a sweep."""
