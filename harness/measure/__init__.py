"""How long builds, boots and runs take."""
