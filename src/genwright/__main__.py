"""`python -m genwright`."""

from genwright.cli.main import main

main()
