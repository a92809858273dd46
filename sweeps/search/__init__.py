"""What to try next and what to stop: pure functions of the history of a sweep."""
