"""Errors of our own, only where a caller would catch them."""


class Diverged(FloatingPointError):
    """Training left the finite numbers; the message names epoch, step and term."""
