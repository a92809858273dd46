"""What a user states, checked: YAML in, `SweepSpec` out, every problem at once."""
