"""The benchmarks: `python -m bench`. README.md beside this file says how to run and read them."""
