"""One module a stage, each with a config and train(config): it trains the networks of one file in near_core/weights."""
