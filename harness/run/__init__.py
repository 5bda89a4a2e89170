"""./run_tests.py: which tests run where, and the run itself."""
