"""The evaluation of a model: after every epoch, at the end of a trial, and as pictures."""
