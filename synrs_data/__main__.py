"""`python -m synrs_data` is the command `synrs-data`."""

from synrs_data.cli import main

if __name__ == "__main__":
    main()
