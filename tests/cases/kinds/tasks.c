BPF_ITER(task)
{
    struct seq_file *seq = ctx->meta->seq;
    struct task_struct *task = ctx->task;

    if (!task)
        return 0;
    BPF_SEQ_PRINTF(seq, "task\t%d %s\n", task->pid, task->group_leader->comm);
    return 0;
}
