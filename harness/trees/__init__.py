"""From Debian's source and kernel-patches/ to working trees, and back to patches."""
