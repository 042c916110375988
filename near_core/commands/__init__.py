"""The command line, one module a command: cli.main runs them."""
