"""Between a pipeline and an output's `write`: one visible stack of small wrappers, each one file and one concern."""
