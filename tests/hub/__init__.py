"""A loopback Hugging Face Hub for tests: README.md says how to use it and where it differs from the Hub."""
