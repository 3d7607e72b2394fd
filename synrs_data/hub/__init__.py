"""Publishing finished builds on the Hugging Face Hub, and reading them back."""
