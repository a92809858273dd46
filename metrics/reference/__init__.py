"""The scores that a score is compared with: chance and ceiling."""
