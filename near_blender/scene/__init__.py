"""The scene as plain arrays: World, lamps, surfaces, instances and their movement."""
