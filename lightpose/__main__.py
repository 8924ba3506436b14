"""`python -m lightpose` and the command `lightpose`."""

from lightpose.cli import main

if __name__ == "__main__":
    main()
