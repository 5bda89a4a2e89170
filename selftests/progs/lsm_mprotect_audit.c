// SPDX-License-Identifier: GPL-2.0

#include "vmlinux.h"
#include <errno.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "lsm_mprotect_audit.h"

#define VM_READ		0x1
#define VM_WRITE	0x2
#define VM_EXEC		0x4

char _license[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

int monitored_pid;
int deny;
int lost;

static __always_inline enum lsm_mprotect_kind kind_of(struct vm_area_struct *vma)
{
	struct mm_struct *mm = vma->vm_mm;

	if (vma->vm_start >= mm->start_brk && vma->vm_end <= mm->brk)
		return LSM_MPROTECT_HEAP;
	if (vma->vm_start <= mm->start_stack && vma->vm_end >= mm->start_stack)
		return LSM_MPROTECT_STACK;
	return LSM_MPROTECT_NONE;
}

SEC("lsm/file_mprotect")
int BPF_PROG(audit_mprotect, struct vm_area_struct *vma, unsigned long reqprot,
	     unsigned long prot)
{
	int pid = bpf_get_current_pid_tgid() >> 32;
	struct lsm_mprotect_event *event;
	enum lsm_mprotect_kind kind;

	if (pid != monitored_pid || !(prot & VM_EXEC))
		return 0;

	kind = kind_of(vma);
	if (kind == LSM_MPROTECT_NONE)
		return 0;

	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (event) {
		event->pid = pid;
		event->kind = kind;
		event->start = vma->vm_start;
		event->end = vma->vm_end;
		event->old_prot = vma->vm_flags & (VM_READ | VM_WRITE | VM_EXEC);
		event->new_prot = prot;
		bpf_get_current_comm(event->comm, sizeof(event->comm));
		bpf_ringbuf_submit(event, 0);
	} else {
		lost++;
	}

	if (deny)
		return -EPERM;
	return 0;
}
