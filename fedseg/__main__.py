"""`python -m fedseg` is the command `fedseg`."""

from fedseg.cli.main import main

main()
