"""`python -m hyperprune_lab`: the command line where no console script is installed.

Knows nothing but where the command line is.
"""

from hyperprune_lab.cli import main

if __name__ == "__main__":
    main()
