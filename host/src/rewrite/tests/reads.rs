//! Implicit dereferences: what is read, how, and what is left alone.

use super::*;

/// The body of a program that binds a kernel struct, a user pointer and a number, with some locals.
#[track_caller]
fn reads(statements: &str) -> String {
    let head = "struct own { u32 a; struct task_struct *kept; const char *name; };\n\
                BPF_HASH(tasks, u32, struct task_struct *);\n\
                BPF_HASH(owns, u32, struct own);\n\
                int kprobe__f(struct pt_regs *ctx, struct task_struct *task, const char __user *path, int n)\n{\n\
                u32 key = 0; struct own own = {}; int local[4] = {}; int *to_local = &local[n & 3];\n";
    let text = format!("{head}{statements}\nreturn 0;\n}}\n");
    let after = golden(&text, &[]);
    let lines = statements.lines().count();
    let from = head.lines().count();
    after.lines().skip(from).take(lines).map(|line| format!("{line}\n")).collect()
}

#[test]
fn chains_are_read_link_by_link() {
    insta::assert_snapshot!(reads(
        "u64 a = task->pid;\n\
         u64 b = task->real_parent->tgid;\n\
         u64 c = task->nsproxy->pid_ns_for_children->ns.inum;\n\
         void *d = task->mm->exe_file->f_path.dentry;\n\
         u64 e = (*task).pid;\n\
         u64 g = task->cred->uid.val + task->real_cred->gid.val;"
    ), @"
    u64 a = dbcc_read(task->pid);
    u64 b = dbcc_read(dbcc_read(task->real_parent)->tgid);
    u64 c = dbcc_read(dbcc_read(dbcc_read(task->nsproxy)->pid_ns_for_children)->ns.inum);
    void *d = dbcc_read(dbcc_read(dbcc_read(task->mm)->exe_file)->f_path.dentry);
    u64 e = dbcc_read((*task).pid);
    u64 g = dbcc_read(dbcc_read(task->cred)->uid.val) + dbcc_read(dbcc_read(task->real_cred)->gid.val);
    ");
}

#[test]
fn addresses_and_arrays_are_not_read_but_what_leads_to_them_is() {
    insta::assert_snapshot!(reads(
        "void *a = &task->pid;\n\
         void *b = &task->mm->owner;\n\
         char *c = task->comm;\n\
         char d = task->comm[n & 15];\n\
         bpf_probe_read_kernel(&key, sizeof(key), &task->real_parent->tgid);\n\
         u64 e = sizeof(task->mm->owner->pid) + (u64)&((struct task_struct *)0)->pid;\n\
         typeof(task->pid) g = 1;"
    ), @"
    void *a = &task->pid;
    void *b = &dbcc_read(task->mm)->owner;
    char *c = task->comm;
    char d = dbcc_read(task->comm[n & 15]);
    bpf_probe_read_kernel(&key, sizeof(key), &dbcc_read(task->real_parent)->tgid);
    u64 e = sizeof(task->mm->owner->pid) + (u64)&((struct task_struct *)0)->pid;
    typeof(task->pid) g = 1;
    ");
}

#[test]
fn own_memory_is_left_alone() {
    insta::assert_snapshot!(reads(
        "own.a = local[1] + *to_local + to_local[0];\n\
         struct own *found = owns.lookup(&key);\n\
         if (found) { found->a++; own = *found; }\n\
         u64 *p = (u64 *)&own; *p = 7;\n\
         const char *text = \"text\"; own.a += text[1];"
    ), @r#"
    own.a = local[1] + *to_local + to_local[0];
    struct own *found = dbcc_lookup(owns, 2, &key);
    if (found) { found->a++; own = *found; }
    u64 *p = (u64 *)&own; *p = 7;
    const char *text = "text"; own.a += text[1];
    "#);
}

#[test]
fn kernel_pointers_that_were_kept_are_kernel_pointers() {
    insta::assert_snapshot!(reads(
        "struct task_struct **kept = tasks.lookup(&key);\n\
         if (kept) own.a = (*kept)->pid;\n\
         own.kept = task; own.a = own.kept->pid;\n\
         struct own *found = owns.lookup(&key);\n\
         if (found) own.a = found->kept->tgid;\n\
         struct task_struct *me = (struct task_struct *)bpf_get_current_task();\n\
         own.a = me->pid + ((struct task_struct *)bpf_get_current_task())->tgid;\n\
         u64 address = (u64)task; own.a = ((struct task_struct *)address)->pid;\n\
         struct task_struct *either = n ? task : me; own.a = either->pid;"
    ), @"
    struct task_struct **kept = dbcc_lookup(tasks, 1, &key);
    if (kept) own.a = dbcc_read((*kept)->pid);
    own.kept = task; own.a = dbcc_read(own.kept->pid);
    struct own *found = dbcc_lookup(owns, 2, &key);
    if (found) own.a = dbcc_read(found->kept->tgid);
    struct task_struct *me = (struct task_struct *)bpf_get_current_task();
    own.a = dbcc_read(me->pid) + dbcc_read(((struct task_struct *)bpf_get_current_task())->tgid);
    u64 address = (u64)task; own.a = dbcc_read(((struct task_struct *)address)->pid);
    struct task_struct *either = n ? task : me; own.a = dbcc_read(either->pid);
    ");
}

#[test]
fn bit_fields_pointers_to_scalars_and_user_memory_are_read_by_what_they_are() {
    insta::assert_snapshot!(reads(
        "own.a = task->sched_reset_on_fork;\n\
         own.a += task->real_parent->sched_reset_on_fork;\n\
         unsigned long *words = (unsigned long *)task; own.a = words[n] + *words + *(words + 2);\n\
         char first = path[0]; char next = *(path + 1);\n\
         struct dentry *dentry = task->fs->pwd.dentry; own.name = (const char *)dentry->d_name.name;"
    ), @"
    own.a = dbcc_read_bits(task, sched_reset_on_fork);
    own.a += dbcc_read_bits(dbcc_read(task->real_parent), sched_reset_on_fork);
    unsigned long *words = (unsigned long *)task; own.a = dbcc_read(words[n]) + dbcc_read(*words) + dbcc_read(*(words + 2));
    char first = dbcc_read_user(path[0]); char next = dbcc_read_user(*(path + 1));
    struct dentry *dentry = dbcc_read(dbcc_read(task->fs)->pwd.dentry); own.name = (const char *)dbcc_read(dentry->d_name.name);
    ");
}

/// The lines of a text that rewriting changed, attached as a uprobe `e` and a uretprobe `r`.
#[track_caller]
fn user_reads(text: &str) -> String {
    let both = text.contains("int r(");
    let attach: &[&str] = if both { &["uprobe:main=e", "uretprobe:main=r"] } else { &["uprobe:main=e"] };
    let after = golden(text, attach);
    let lines = after.lines().zip(text.lines()).filter(|(after, before)| after != before && after.contains("dbcc_"));
    lines.map(|(after, _)| format!("{after}\n")).collect()
}

/// A struct of a traced program, as a probe mirrors it.
const MINE: &str = "struct inner { int a; char tag[8]; };\n\
                    struct mine { int x; signed s:3; unsigned u:5; struct inner in; struct inner *ip; struct mine *next;\n\
                    union { int ui; char uc[4]; }; struct { int an; signed anb:4; }; int arr[4]; struct inner ins[2]; char *str; };\n";

#[test]
fn bit_fields_of_own_structs_are_read_at_their_place() {
    let text = format!(
        "{MINE}int e(struct pt_regs *ctx, struct mine *m)\n{{\n\
         int r = m->s + m->u + m->next->s + m->anb;\n\
         r += (*m).s + m[1].s + (m + 1)->u + m[1].anb;\n\
         return r;\n}}\n"
    );
    insta::assert_snapshot!(user_reads(&text), @"
    int r = dbcc_read_user_bits_at(m, s, 32, 3) + dbcc_read_user_bits_at(m, u, 35, 5) + dbcc_read_user_bits_at(dbcc_read_user(m->next), s, 32, 3) + dbcc_read_user_bits_at(m, anb, 384, 4);
    r += dbcc_read_user_bits_at(&(*m), s, 32, 3) + dbcc_read_user_bits_at(&m[1], s, 32, 3) + dbcc_read_user_bits_at((m + 1), u, 35, 5) + dbcc_read_user_bits_at(&m[1], anb, 384, 4);
    ");
}

#[test]
fn pointers_that_were_kept_in_maps_structs_and_variables_point_where_they_did() {
    let text = format!(
        "{MINE}struct keep {{ struct mine *m; const char *s; u64 raw; }};\n\
         BPF_HASH(keeps, u32, struct keep); BPF_HASH(strs, u32, const char *); BPF_HASH(raws, u32, u64);\n\
         static void out(struct mine *m, char **s) {{ *s = m->str; }}\n\
         int e(struct pt_regs *ctx, struct mine *m)\n{{\n\
         u32 k = 1; const char *s = m->str; u64 raw = (u64)m; struct keep keep = {{m, s, raw}};\n\
         keeps.update(&k, &keep); strs.update(&k, &s); bpf_map_update_elem(&raws, &k, &raw, 0);\n\
         struct mine copy = *m, *to_copy = &copy, **pp = &m; char *written = 0; out(m, &written);\n\
         int r = copy.x + copy.ip->a + copy.str[1] + to_copy->x + to_copy->next->x + (*pp)->x + pp[0]->in.a + written[0];\n\
         char *p = 0; bpf_probe_read_user(&p, sizeof(p), &m->str); r += p[2];\n\
         return r;\n}}\n\
         int r(struct pt_regs *ctx)\n{{\n\
         u32 k = 1; struct keep *keep = keeps.lookup(&k); const char **s = strs.lookup(&k); u64 *raw = raws.lookup(&k);\n\
         if (!keep || !s || !raw) return 0;\n\
         struct keep copy = *keep; keep->s++;\n\
         return keep->m->x + keep->s[1] + copy.m->next->x + **s + (*s)[1] + ((struct mine *)*raw)->x + ((struct mine *)keep->raw)->x;\n\
         }}\n"
    );
    insta::assert_snapshot!(user_reads(&text), @"
    __always_inline static void out(struct mine *m, char **s) { *s = dbcc_read_user(m->str); }
    u32 k = 1; const char *s = dbcc_read_user(m->str); u64 raw = (u64)m; struct keep keep = {m, s, raw};
    dbcc_update(keeps, 1, &k, &keep); dbcc_update(strs, 2, &k, &s); bpf_map_update_elem(&raws, &k, &raw, 0);
    struct mine copy = dbcc_read_user(*m), *to_copy = &copy, **pp = &m; char *written = 0; out(m, &written);
    int r = copy.x + dbcc_read_user(copy.ip->a) + dbcc_read_user(copy.str[1]) + to_copy->x + dbcc_read_user(to_copy->next->x) + dbcc_read_user((*pp)->x) + dbcc_read_user(pp[0]->in.a) + dbcc_read_user(written[0]);
    char *p = 0; bpf_probe_read_user(&p, sizeof(p), &m->str); r += dbcc_read_user(p[2]);
    u32 k = 1; struct keep *keep = dbcc_lookup(keeps, 1, &k); const char **s = dbcc_lookup(strs, 2, &k); u64 *raw = dbcc_lookup(raws, 3, &k);
    return dbcc_read_user(keep->m->x) + dbcc_read_user(keep->s[1]) + dbcc_read_user(dbcc_read_user(copy.m->next)->x) + dbcc_read_user(**s) + dbcc_read_user((*s)[1]) + dbcc_read_user(((struct mine *)*raw)->x) + dbcc_read_user(((struct mine *)keep->raw)->x);
    ");
}

#[test]
fn what_may_be_of_either_memory_is_read_by_its_address() {
    // A function that is handed own and foreign memory; a pointer of the kernel's that may be the process's.
    let text = format!(
        "{MINE}static int both(struct mine *m) {{ return m->x + m->ip->a; }}\n\
         int e(struct pt_regs *ctx, struct mine *m)\n{{\n\
         struct mine own = {{}}; own.ip = m->ip;\n\
         return both(m) + both(&own);\n}}\n"
    );
    insta::assert_snapshot!(user_reads(&text), @"
    __always_inline static int both(struct mine *m) { return dbcc_read(m->x) + dbcc_read_user(dbcc_read(m->ip)->a); }
    struct mine own = {}; own.ip = dbcc_read_user(m->ip);
    ");
    insta::assert_snapshot!(reads(
        "const char *s = (const char *)PT_REGS_PARM3(ctx); own.a = s[0];\n\
         bpf_trace_printk(\"%s %s %s\", s, task->comm, path);"
    ), @"
    const char *s = (const char *)PT_REGS_PARM3(ctx); own.a = dbcc_read(s[0]);
    dbcc_print(0, 3, 3, (dbcc_text(0, 0, any), dbcc_text(1, 1, kernel), dbcc_text(2, 2, user)), (__u64)(s), (__u64)(task->comm), (__u64)(path));
    ");
}

#[test]
fn arrays_structs_and_expressions_of_all_kinds_are_read() {
    let text = format!(
        "{MINE}#define NEXT(m) ((m)->next)\n#define X(m) m->x\n#define MX m->x\n\
         int e(struct pt_regs *ctx, struct mine *m, int i)\n{{\n\
         int r = m->arr[2] + m->arr[i & 3] + m->ins[i & 1].tag[3] + *m->str + *(m->str + 1) + m->uc[1];\n\
         r += (m->x ? m->next->x : m->ip->a) + (m->x ?: m->ui) + (i++, m->x);\n\
         struct mine init = {{.x = m->x, .in = m->in, .ip = m->ip, .arr = {{m->arr[0], [2] = m->arr[1]}}}}; r += init.ip->a;\n\
         char tag[8]; __builtin_memcpy(tag, m->in.tag, 8); __builtin_memcpy(tag, init.in.tag, 8);\n\
         r += X(m) + MX + NEXT(m)->x + X(NEXT(NEXT(m)));\n\
         int *ip = &m->x, *ap = m->arr; r += *ip + ap[i & 3];\n\
         r += sizeof(m->next->x) + __builtin_offsetof(struct mine, in.a) + _Alignof(struct mine) + __builtin_types_compatible_p(typeof(m->x), int);\n\
         switch (m->x) {{ case 1: r += m->ui; }} while (m->x > r) r++;\n\
         return ((struct mine *)ctx->di)->s + ((struct mine *)PT_REGS_PARM1(ctx))->x + ({{ struct mine *n = m->next; n->x; }});\n}}\n"
    );
    insta::assert_snapshot!(user_reads(&text), @"
    int r = dbcc_read_user(m->arr[2]) + dbcc_read_user(m->arr[i & 3]) + dbcc_read_user(m->ins[i & 1].tag[3]) + dbcc_read_user(*dbcc_read_user(m->str)) + dbcc_read_user(*(dbcc_read_user(m->str) + 1)) + dbcc_read_user(m->uc[1]);
    r += (dbcc_read_user(m->x) ? dbcc_read_user(dbcc_read_user(m->next)->x) : dbcc_read_user(dbcc_read_user(m->ip)->a)) + (dbcc_read_user(m->x) ?: dbcc_read_user(m->ui)) + (i++, dbcc_read_user(m->x));
    struct mine init = {.x = dbcc_read_user(m->x), .in = dbcc_read_user(m->in), .ip = dbcc_read_user(m->ip), .arr = {dbcc_read_user(m->arr[0]), [2] = dbcc_read_user(m->arr[1])}}; r += dbcc_read_user(init.ip->a);
    char tag[8]; dbcc_copy_user(tag, m->in.tag, 8); __builtin_memcpy(tag, init.in.tag, 8);
    r += dbcc_read_user(m->x) + dbcc_read_user(m->x) + dbcc_read_user((dbcc_read_user((m)->next))->x) + dbcc_read_user((dbcc_read_user(((dbcc_read_user((m)->next)))->next))->x);
    int *ip = &m->x, *ap = m->arr; r += dbcc_read_user(*ip) + dbcc_read_user(ap[i & 3]);
    r += sizeof(m->next->x) + __builtin_offsetof(struct mine, in.a) + _Alignof(struct mine) + __builtin_types_compatible_p(typeof(dbcc_read_user(m->x)), int);
    switch (dbcc_read_user(m->x)) { case 1: r += dbcc_read_user(m->ui); } while (dbcc_read_user(m->x) > r) r++;
    return dbcc_read_user_bits_at(((struct mine *)ctx->di), s, 32, 3) + dbcc_read_user(((struct mine *)PT_REGS_PARM1(ctx))->x) + ({ struct mine *n = dbcc_read_user(m->next); dbcc_read_user(n->x); });
    ");
}

#[test]
fn memory_of_packets_and_contexts_is_read_as_it_is() {
    let text = "static int parse(void *data, void *end)\n{\n\
                struct ethhdr *eth = data; struct iphdr *ip = (void *)(eth + 1);\n\
                if ((void *)(ip + 1) > end) return 0;\n\
                return eth->h_proto == 8 && ip->protocol == 6 && ip->ihl == 5 && ((u8 *)data)[3];\n}\n\
                int x(struct xdp_md *ctx)\n{\n\
                return parse((void *)(long)ctx->data, (void *)(long)ctx->data_end) ? 1 : 2;\n}\n";
    let after = golden(text, &[]);
    assert!(!after.contains("dbcc_read") && after.contains("((u8 *)data)[3]"), "{after}");
}

#[test]
fn foreign_memory_is_not_written() {
    let text = format!(
        "{MINE}int e(struct pt_regs *ctx, struct mine *m)\n{{\n\
         char *s = m->str; struct mine copy = {{}};\n\
         m->x = 1;\nm->in.a++;\n*s = 2;\nm->s = 1;\nm->arr[1] += 3;\ncopy.ip->a = 1;\n__builtin_memcpy(m->in.tag, &copy, 4);\n\
         copy.ip = m->ip;\nreturn 0;\n}}\n"
    );
    let said = messages(&text, &["uprobe:main=e"]);
    assert_eq!(said.matches("a program cannot write to this memory").count(), 7, "{said}");
}
