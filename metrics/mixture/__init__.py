"""The aggregate posterior as a full mixture: log densities and the parts of the KL."""
