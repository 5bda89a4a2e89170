# SPDX-License-Identifier: GPL-2.0
# KRSI. `make help` tells what there is; the work is done by harness/.

VARIANT ?= krsi
KERNEL_SRC ?=
BUILDS ?=
ONLY ?=
PROFILE ?=
VARIANTS ?=
CASES ?=
BASELINE ?=
BENCH ?=
PATCHES ?=
SAMPLE ?=
MINUTES ?=
CHECKS ?=
RECORD ?=
VERSION ?= 1
TO ?=
PREFIX ?=
ALLOW ?=
SEND ?=
HARNESS = @python3 -m harness

.DEFAULT_GOAL := help
.PHONY: help kernel bench bench-doc bench-build listing matrix kunit series-check static proof check check-vm \
	shell speed man patches submit clean

help:
	$(HARNESS) --help

# Build one variant into build/$(VARIANT)/.
kernel:
	$(HARNESS) kernel --variant '$(VARIANT)' --kernel-src '$(KERNEL_SRC)'

# Count instructions on VARIANTS="…", all CASES="…"; compare with BASELINE=old.json.
bench:
	$(HARNESS) bench --variants '$(VARIANTS)' --baseline '$(BASELINE)' \
		--kernel-src '$(KERNEL_SRC)' $(BENCH) -- $(CASES)

# Make docs/BENCH.md from the figures of the latest `make bench`.
bench-doc:
	$(HARNESS) bench --doc

# What one call executes, disassembled: CASES=mprotect/noop-1 VARIANTS=krsi.
listing:
	$(HARNESS) listing --variants '$(or $(VARIANTS),krsi)' \
		--kernel-src '$(KERNEL_SRC)' $(BENCH) $(CASES)

# Build the series in every configuration of configs/matrix.toml, or in BUILDS="…".
matrix:
	$(HARNESS) matrix --kernel-src '$(KERNEL_SRC)' $(BUILDS)

# Test chains and hooks while a small kernel boots, by the kernel's own kunit.py in QEMU.
kunit:
	$(HARNESS) kunit --kernel-src '$(KERNEL_SRC)'

# Make docs/PROOF.md from the results below build/reports/.
proof:
	$(HARNESS) proof

# Build, boot and test each prefix of the series: PATCHES="6-12", SAMPLE=3, MINUTES=20.
series-check:
	$(HARNESS) series-check --kernel-src '$(KERNEL_SRC)' --patches '$(PATCHES)' \
		$(if $(SAMPLE),--sample '$(SAMPLE)') $(if $(MINUTES),--minutes '$(MINUTES)')

# What tools that run nothing say of the series, and what it takes of the stack; CHECKS="stack".
static:
	$(HARNESS) static --kernel-src '$(KERNEL_SRC)' -- $(CHECKS)

# Measure builds and boots; ONLY=cold,warm,unchanged,vm,changed; PROFILE=1 tells what costs most.
bench-build:
	$(HARNESS) bench-build --variant '$(VARIANT)' --kernel-src '$(KERNEL_SRC)' --only '$(ONLY)' \
		$(if $(PROFILE),--profile)

# Everything that can be checked without a kernel.
check:
	$(HARNESS) check --kernel-src '$(KERNEL_SRC)'

# Break machines on purpose: the harness has to see each for what it is. Needs `make kernel`.
# RECORD=1 lets tests/golden/ be what they leave now.
check-vm:
	$(HARNESS) check --vm $(if $(RECORD),--record)

# A root shell in the VM, bpftool and the selftests on PATH.
shell:
	@exec ./run_tests.py --kernel '$(VARIANT)' --shell

# Export build/tree's commits to kernel-patches/ and refresh the views.
patches:
	$(HARNESS) patches

# Write the mails of the series and check them: VERSION=2, TO=…, PREFIX=…, ALLOW=…; SEND=1 asks, and sends.
submit:
	$(HARNESS) submit --version '$(VERSION)' --to '$(TO)' --prefix '$(PREFIX)' --allow '$(ALLOW)' \
		--kernel-src '$(KERNEL_SRC)' $(if $(SEND),--send)

# Measure ./run_tests.py against a bare vng, and make docs/SPEED.md.
speed:
	$(HARNESS) speed --variant '$(VARIANT)'

# Man pages, into build/man/.
man:
	$(HARNESS) man

# Delete what was built; build/tree, which may hold your work, stays.
clean:
	$(HARNESS) clean
