"""dSprites: drawn by an exact renderer, or read from an official file."""
