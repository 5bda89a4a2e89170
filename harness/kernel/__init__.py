"""From a working tree to a kernel that boots, and the tools beside it."""
