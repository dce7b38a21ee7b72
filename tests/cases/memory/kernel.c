// Reads the kernel's memory by implicit dereference, and that of the process by what the kernel knows of it.
#include <linux/sched.h>
#include <linux/fs.h>
#include <linux/mm_types.h>
#include <linux/cred.h>
#include <linux/dcache.h>

BPF_HASH(numbers, u32, s64);

static void put(u32 number, s64 value)
{
	numbers.update(&number, &value);
}

static struct dentry *executable(struct task_struct *task)
{
	return task->mm->exe_file->f_path.dentry;
}

RAW_TRACEPOINT_PROBE(sys_enter)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task(), *leader = task->group_leader;
	struct pt_regs *regs = (struct pt_regs *)ctx->args[0];
	const char *path = (const char *)PT_REGS_PARM2_SYSCALL(regs), *argument;
	struct qstr name;

	if (FILTER_PID)
		return 0;
	argument = (const char *)task->mm->arg_start;
	name = executable(task)->d_name;
	// Only the open() that the program does not succeed in.
	if (path[0] != '/' || path[5] != '-' || path[11] != 'n')
		return 0;
	put(100, task->real_parent->tgid);
	put(101, leader->tgid);
	put(102, task->comm[0] + (leader->comm[3] << 8));
	put(103, task->cred->uid.val);
	put(104, task->sched_reset_on_fork);
	put(105, argument[0] + (*(argument + 1) << 8));
	put(106, name.len);
	put(107, name.name[0]);
	put(108, path[0] + (path[1] << 8) + (path[2] << 16));
	return 0;
}
