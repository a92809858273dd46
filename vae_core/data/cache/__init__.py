"""The cache of data sets on disk."""
