use std::process::Command;

use super::*;

const EXEC: &str = "name: sched_process_exec
ID: 365
format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:unsigned char common_flags;	offset:2;	size:1;	signed:0;
	field:unsigned char common_preempt_count;	offset:3;	size:1;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;

	field:__data_loc char[] filename;	offset:8;	size:4;	signed:0;
	field:pid_t pid;	offset:12;	size:4;	signed:1;
	field:pid_t old_pid;	offset:16;	size:4;	signed:1;

print fmt: \"filename=%s pid=%d old_pid=%d\", __get_str(filename), REC->pid, REC->old_pid
";

/// A record with one field behind the common ones.
fn with(field: &str) -> String {
    let text =
        format!("name: t\nID: 1\nformat:\n\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\t{field}\n");
    Tracepoint::parse("a", "t", &text).unwrap().c_struct()
}

fn check(field: &str, expect: &str) {
    let head = "struct tracepoint__a__t {\n\tunsigned long long __do_not_use__;\n";
    assert_eq!(with(field), format!("{head}{expect}\n}};\n"), "{field}");
}

#[test]
fn a_format_becomes_a_struct() {
    let tracepoint = Tracepoint::parse("sched", "sched_process_exec", EXEC).unwrap();
    assert_eq!((tracepoint.id, tracepoint.fields.len()), (365, 7));
    let expect = "struct tracepoint__sched__sched_process_exec {
	unsigned long long __do_not_use__;
	int data_loc_filename;
	int pid;
	int old_pid;
};
";
    assert_eq!(tracepoint.c_struct(), expect);
}

#[test]
fn types_follow_size_and_sign() {
    check("field:void * sk;	offset:8;	size:8;	signed:0;", "\tvoid *sk;");
    check("field:const char * filename;	offset:8;	size:8;	signed:0;", "\tconst char *filename;");
    check("field:const struct sock *sk;	offset:8;	size:8;	signed:0;", "\tconst struct sock *sk;");
    check("field:siginfo_t * info;	offset:8;	size:8;	signed:0;", "\tvoid *info;");
    check("field:const char *const * argv;	offset:8;	size:8;	signed:0;", "\tconst void *argv;");
    check("field:int dfd;	offset:8;	size:8;	signed:0;", "\tlong long dfd;");
    check("field:unsigned int fd;	offset:8;	size:8;	signed:0;", "\tunsigned long long fd;");
    check("field:umode_t mode;	offset:8;	size:8;	signed:0;", "\tunsigned long long mode;");
    check("field:__s32 x;	offset:8;	size:8;	signed:0;", "\tlong long x;");
    check("field:enum zone_type zone;	offset:8;	size:4;	signed:0;", "\tunsigned int zone;");
    check("field:bool fast;	offset:8;	size:1;	signed:0;", "\t_Bool fast;");
    check("field:char comm[16];	offset:8;	size:16;	signed:0;", "\tchar comm[16];");
    check("field:char comm[TASK_COMM_LEN];	offset:8;	size:16;	signed:0;", "\tchar comm[16];");
    check("field:unsigned long args[6];	offset:8;	size:48;	signed:0;", "\tunsigned long long args[6];");
    check("field:__u8 saddr_v6[16];	offset:8;	size:16;	signed:0;", "\tunsigned char saddr_v6[16];");
    check("field:struct in6_addr a;	offset:8;	size:16;	signed:0;", "\tunsigned char a[16];");
    check("field:__rel_loc char[] msg;	offset:8;	size:4;	signed:0;", "\tint rel_loc_msg;");
    check("field:__data_loc cpumask_t mask;	offset:8;	size:4;	signed:0;", "\tint data_loc_mask;");
}

#[test]
fn offsets_are_kept_by_padding() {
    check("field:u32 x;	offset:12;	size:4;	signed:0;", "\tchar __padding_8[4];\n\tunsigned int x;");
    check(
        "field:u32 x;	offset:9;	size:4;	signed:0;",
        "\tchar __padding_8[1];\n\tunsigned int x __attribute__((packed));",
    );
    let overlapping = "field:u32 x;	offset:8;	size:4;	signed:0;\n\tfield:u32 y;	offset:10;	size:4;	signed:0;";
    check(overlapping, "\tunsigned int x;\n\t/* left out: y at offset 10 */");
    check("field:u32 *x*/int;	offset:8;	size:4;	signed:0;", "\t/* left out: ?int at offset 8 */");
}

#[test]
fn what_is_not_understood_is_an_error() {
    for line in ["field:int;", "field:int x;	offset:y;	size:4;", "field:int x;	offset:4294967295;	size:4;"] {
        let error = Tracepoint::parse("a", "t", &format!("ID: 1\n\t{line}\n")).unwrap_err();
        assert!(error.to_string().contains("a:t") && error.to_string().contains("field:int"), "{error}");
    }
    assert!(Tracepoint::parse("a", "t", "format:\n").is_err());
}

fn tracefs() -> Option<Tracefs> {
    match Tracefs::open() {
        Ok(tracefs) => Some(tracefs),
        Err(error) if std::env::var_os("CI").is_some() => panic!("{error}"),
        Err(error) => {
            eprintln!("skipped: {error}");
            None
        }
    }
}

/// All tracepoints of this kernel: clang lays each struct out as the kernel says.
#[test]
fn every_struct_of_this_kernel_has_the_kernels_layout() {
    let Some(tracefs) = tracefs() else { return };
    let mut program = String::new();
    let mut checked = 0;
    for event in tracefs.read("available_events").unwrap().lines() {
        let (category, name) = event.split_once(':').unwrap();
        let tracepoint = match Tracepoint::read(&tracefs, category, name) {
            Ok(tracepoint) => tracepoint,
            Err(TracepointError::Missing { .. }) => continue, // events of other kinds, and such as just went away
            Err(error) => panic!("{error}"),
        };
        let record = tracepoint.c_struct();
        program += &record;
        for field in tracepoint.fields.iter().filter(|field| !field.name.starts_with("common_")) {
            let name = match field.declared.split_whitespace().next() {
                Some("__data_loc") => format!("data_loc_{}", field.name),
                Some("__rel_loc") => format!("rel_loc_{}", field.name),
                _ => field.name.clone(),
            };
            if record.contains(&format!("left out: {name} ")) {
                continue;
            }
            let (tag, offset, size) =
                (format!("struct tracepoint__{}__{}", tracepoint.category, tracepoint.name), field.offset, field.size);
            program += &format!(
                "_Static_assert(__builtin_offsetof({tag}, {name}) == {offset} && sizeof((({tag} *)0)->{name}) == {size}, \
                 \"{tag} {name}\");\n"
            );
            checked += 1;
        }
    }
    assert!(checked > 1000, "{checked}");
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("t.c");
    std::fs::write(&source, program).unwrap();
    let built = Command::new("cc").args(["-fsyntax-only", "-Werror", "-Wall"]).arg(&source).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

#[test]
fn a_missing_tracepoint_is_named_with_the_nearest() {
    let Some(tracefs) = tracefs() else { return };
    let message = |category, name| Tracepoint::read(&tracefs, category, name).unwrap_err().to_string();
    assert_eq!(
        message("sched", "sched_swich"),
        "this kernel has no tracepoint sched:sched_swich; did you mean sched:sched_switch?"
    );
    assert_eq!(
        message("an_entirely_other_category", "sched_switch"),
        "this kernel has no tracepoint an_entirely_other_category:sched_switch; did you mean sched:sched_switch?"
    );
    assert_eq!(message("qqqqqq", "wwwwwwwww"), "this kernel has no tracepoint qqqqqq:wwwwwwwww");
    assert!(message("../..", "x").contains("CATEGORY:NAME"));
}

#[test]
fn fields_that_point_to_structs_say_to_which() {
    let text = "ID: 1\n\tfield:const struct page * page;\toffset:8;\tsize:8;\tsigned:0;\n\
                \tfield:struct inode *inode;\toffset:16;\tsize:8;\tsigned:0;\n\
                \tfield:const void * skaddr;\toffset:24;\tsize:8;\tsigned:0;\n\
                \tfield:struct timespec64 now;\toffset:32;\tsize:16;\tsigned:0;\n";
    let tracepoint = Tracepoint::parse("a", "b", text).unwrap();
    let found: Vec<_> = tracepoint.pointees().collect();
    assert_eq!(found, [("page", "page"), ("inode", "inode")]);
}
