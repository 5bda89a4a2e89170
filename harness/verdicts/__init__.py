"""From what a machine has left to verdicts; pure, but for `files`."""
