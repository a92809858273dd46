"""What a user asks for, checked: YAML in, `SweepSpec` out, every problem reported at once."""
