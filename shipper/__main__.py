"""`python -m shipper` is `shipper`."""

from shipper.cli.main import main

if __name__ == "__main__":
    main()
