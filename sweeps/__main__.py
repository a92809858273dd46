"""`python -m sweeps` is `sweeps`."""

from sweeps.cli import main

if __name__ == "__main__":
    main()
