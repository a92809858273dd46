"""Mutual information between latents and factors: estimators and the matrix that they fill."""
