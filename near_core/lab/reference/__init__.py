"""The published networks against recorded values: reference.run verifies a folder of fixtures."""
