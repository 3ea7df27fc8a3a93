"""`python -m training.model_table` is `python -m training.export.model_table`."""

from .export.model_table import main

if __name__ == "__main__":
    raise SystemExit(main())
