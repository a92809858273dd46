"""The cache of prepared data sets on disk."""
