"""`python -m training.certify` is `python -m training.export.certify`."""

from .export.certify import main

if __name__ == "__main__":
    raise SystemExit(main())
