"""What the terminal shows: tables, JSON, progress bars."""
