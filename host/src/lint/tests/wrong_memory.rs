use super::check;

const LINT: &str = "wrong-memory";

fn probe(body: &str) -> String {
    format!(
        "#include <linux/socket.h>\nint f(struct pt_regs *ctx)\n{{\n    char text[16] = {{}};\n    u32 number = 0;\n\
         \x20   struct task_struct *task = (struct task_struct *)bpf_get_current_task();\n    {body}\n\
         \x20   return number + text[0];\n}}\n"
    )
}

const USER: &[&str] = &["uprobe:/bin/true:main=f"];
const KERNEL: &[&str] = &["kprobe:__sys_connect=f"];

#[test]
fn memory_of_the_other() {
    let read = "bpf_probe_read_kernel_str(text, sizeof(text), (void *)PT_REGS_PARM1(ctx));";
    check(LINT, &probe(read), USER, &["(void *)PT_REGS_PARM1(ctx)"]);
    let read = "const char *name = (const char *)PT_REGS_PARM2(ctx);\n\
                bpf_probe_read_kernel(&text, sizeof(text), name + 4);";
    check(LINT, &probe(read), USER, &["name + 4"]);
    for (attached, read, place) in [
        (USER, "bpf_probe_read_user(&number, sizeof(number), &task->tgid);", "&task->tgid"),
        (KERNEL, "bpf_probe_read_user_str(text, sizeof(text), task->comm);", "task->comm"),
        (KERNEL, "bpf_probe_read_user(&number, 4, &task->real_parent->tgid);", "&task->real_parent->tgid"),
    ] {
        check(LINT, &probe(read), attached, &[place]);
    }
}

#[test]
fn memory_that_is_read_as_what_it_is_or_of_which_that_is_not_known() {
    for (attached, read) in [
        (USER, "bpf_probe_read_user_str(text, sizeof(text), (void *)PT_REGS_PARM1(ctx));"),
        (USER, "bpf_probe_read_kernel(&number, sizeof(number), &task->tgid);"),
        (USER, "bpf_probe_read(&text, sizeof(text), (void *)PT_REGS_PARM1(ctx));"),
        // A kernel function takes pointers of the process too.
        (KERNEL, "bpf_probe_read_user(&text, sizeof(text), (void *)PT_REGS_PARM2(ctx));"),
        (KERNEL, "bpf_probe_read_kernel(&text, sizeof(text), (void *)PT_REGS_PARM2(ctx));"),
        (
            KERNEL,
            "struct sockaddr *to = (struct sockaddr *)PT_REGS_PARM2(ctx);\n\
                  bpf_probe_read_user(&number, 2, &to->sa_family);",
        ),
        (KERNEL, "bpf_probe_read_user(&number, 4, (void *)task->mm->arg_start);"),
    ] {
        check(LINT, &probe(read), attached, &[]);
    }
    let text = "int kprobe____sys_connect(struct pt_regs *ctx, int fd, struct sockaddr *to)\n\
                { short family = 0; bpf_probe_read_user(&family, 2, &to->sa_family); return family; }\n";
    check(LINT, text, &[], &[]);
}
