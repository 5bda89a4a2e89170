#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Run the functions TEST__SUBTEST of cases.sh, and report KTAP as lsm_tests does:
#
#   runner.sh MODULE [--kmsg] [--timeout=…] --output=REPORT -- TEST | TEST/SUBTEST…
#
# It looks after nothing: no deadline, no order. That is for the harness to do.
here=$(dirname "$0")
module=$1
shift
while [ "$1" != -- ]; do
	case $1 in
	--output=*) report=${1#--output=} ;;
	esac
	shift
done
shift
test=${1%%/*}
if [ "$test" = "$1" ]; then
	subtests=$(sed -n "s/^${test}__\([a-z]*\)() .*/\1/p" "$here/cases.sh")
else
	subtests=$(printf '%s\n' "$@" | sed 's,.*/,,')
fi
runner=$$
number=0
failed=
. "$here/cases.sh"

say() {
	printf '%s\n' "$@" >>"$report"
}

say "KTAP version 1" "1..1" "    KTAP version 1" "    # Subtest: $test"
for subtest in $subtests; do
	number=$((number + 1))
	say "    # running: $subtest"
	echo "lsm_tests: $test/$subtest" >/dev/kmsg
	("${test}__$subtest")
	case $? in
	0) say "    ok $number $subtest" ;;
	77) say "    ok $number $subtest # SKIP for the sake of it" ;;
	*)
		failed=1
		say "    not ok $number $subtest"
		;;
	esac
done
say "    1..$number" "${failed:+not }ok 1 $test"
exit ${failed:-0}
