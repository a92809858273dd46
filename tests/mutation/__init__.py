"""Changes the product one small place at a time, to see whether a test fails."""
