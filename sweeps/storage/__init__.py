"""Bytes of a workspace: paths, atomic files, checkpoints, the store actor, the lock."""
