"""Errors of our own, only where a caller would catch them."""


class Diverged(FloatingPointError):
    """A number of training is not finite; the message names epoch, step and term."""
