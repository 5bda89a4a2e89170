"""KRSI's harness: from patches to a kernel, from a kernel to verdicts."""
