"""How inputs, filters and outputs are put together and run."""
