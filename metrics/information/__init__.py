"""Mutual information between latents and factors: its estimators, and the matrix they fill."""
