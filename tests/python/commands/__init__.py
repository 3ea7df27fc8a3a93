"""The verbs of the command line, most of them in processes of their own."""
