# SPDX-License-Identifier: GPL-2.0
# What a guest may do to the harness. Sourced by runner.sh, which sets $module, $report and $runner;
# cases.py says what is to become of each.

break_kernel() {
	insmod "$module" how="$1"
}

sysrq() {
	echo 1 >/proc/sys/kernel/sysrq
	echo "$1" >/proc/sysrq-trigger
	sleep 60
}

eat_all_memory() {
	tail /dev/zero
	true
}

plain__ok() {
	true
}

plain__fails() {
	false
}

plain__skips() {
	exit 77
}

# Bytes that are no text, what a terminal takes for orders, a line without an end; and in the midst
# of it the kernel has something to say.
garbage() {
	head -c 4096 /dev/urandom
	printf '\033[2J\033[31m\033]0;title\007\200\377\303(\0\0\0\r'
	head -c 200000 /dev/zero | tr '\0' 'x'
}

console__garbage() {
	garbage >/dev/console
	break_kernel warn
	rmmod broken
	garbage >/dev/console
}

console__after() {
	true
}

report__garbage() {
	garbage >>"$report"
}

report__after() {
	true
}

truncated__cut() {
	: >"$report"
}

truncated__after() {
	true
}

truncated__lost() {
	truncate -s -30 "$report"
	kill -9 "$runner"
}

big__output() {
	head -c 20000000 /dev/zero
}

big__report() {
	head -c 8000000 /dev/zero >>"$report"
	echo >>"$report"
}

replaced__link() {
	rm "$report"
	ln -s /dev/zero "$report"
	kill -9 "$runner"
}

replaced__after() {
	true
}

runner__killed() {
	kill -9 "$runner"
}

runner__after() {
	true
}

panic__before() {
	true
}

panic__now() {
	sysrq c
}

panic__after() {
	true
}

hang__forever() {
	sleep 1000
}

hang__after() {
	true
}

hardhang__now() {
	break_kernel hang
	sleep 1000
}

hardhang__after() {
	true
}

# Its last line is the harness's own, written after the report is complete.
late__passes() {
	grep -q 'krsi: end late' /dev/kmsg && break_kernel oops &
}

innocent__ok() {
	true
}

bystander__ok() {
	true
}

flood__console() {
	yes 'this is line after line of nothing' | head -c 100000000 >/dev/console
	sleep 60
}

flood__after() {
	true
}

memory__killed() {
	eat_all_memory
}

memory__panics() {
	echo 1 >/proc/sys/vm/panic_on_oom
	eat_all_memory
}

memory__after() {
	true
}

reboot__now() {
	sysrq b
}

reboot__after() {
	true
}

noroot__never() {
	true
}

rootwait__never() {
	true
}
