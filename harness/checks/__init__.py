"""What is said of the series besides its tests: statically, by patch, by configuration."""
