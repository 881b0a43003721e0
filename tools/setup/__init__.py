"""What a checkout sets up and runs: the environment, the demo, the tests."""
