"""KRSI's tests on more than one machine, by Buildbot: what ../master.cfg is made of."""
