"""Virtual machines: who executes them, how they boot, how one talks to them."""
