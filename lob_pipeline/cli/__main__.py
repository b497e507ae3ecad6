"""``python -m lob_pipeline.cli``: the same command as ``lob``."""

from lob_pipeline.cli.app import main

if __name__ == "__main__":
    main()
