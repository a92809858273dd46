"""`python -m sweeps` is `sweeps`."""

from sweeps.cli.app import main

if __name__ == "__main__":
    main()
