"""dSprites: drawn by an exact renderer, or read from the official files."""
