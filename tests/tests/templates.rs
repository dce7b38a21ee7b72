//! Each macro of `templates/` against the headers of a real kernel: the same value, of the same width and sign.
//!
//! One C program has both: the kernel's headers stand first, and what they mean is put into functions; then each name is
//! undefined, `templates/` stand, and what they mean is put into others. The program calls both and compares. Which names
//! there are is asked of the preprocessor, so that nothing is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use dbcc_tests::need;

/// What a parameter of this name stands for, in C: its declaration. Those that are not here are whole numbers.
const POINTERS: &[(&str, &str)] = &[
    ("skb", "struct sk_buff *"),
    ("sk", "struct sock *"),
    ("tp", "struct tcp_sock *"),
    ("req", "struct request_sock *"),
    ("request", "struct request *"),
    ("bio", "struct bio *"),
    ("disk", "struct gendisk *"),
    ("sg", "struct scatterlist *"),
    ("task", "struct task_struct *"),
    ("file", "struct file *"),
    ("dentry", "struct dentry *"),
    ("device", "struct net_device *"),
    ("head", "struct list_head *"),
    ("list", "struct list_head *"),
    ("node", "struct rb_node *"),
    ("header", "struct tcphdr *"),
    ("vma", "struct vm_area_struct *"),
    ("zone", "struct zone *"),
    ("folio", "struct folio *"),
    ("kref", "struct kref *"),
    ("r", "refcount_t *"),
    ("pointer", "void *"),
    ("uid", "kuid_t "),
    ("gid", "kgid_t "),
];

/// Macros whose parameters are not all values, or not those above: their arguments.
const ARGUMENTS: &[(&str, &str)] = &[
    ("__aligned", ""),
    ("__same_type", "int, unsigned int"),
    ("_IOC", "2U, x & 255, y & 255, 8"),
    ("_IO", "x & 255, y & 255"),
    ("_IOR", "'x', 3, u64"),
    ("_IOW", "'x', 3, u64"),
    ("_IOWR", "'x', 3, u64"),
    ("ALIGN", "x, 16"),
    ("ALIGN_DOWN", "x, 16"),
    ("ARRAY_SIZE", "array"),
    ("BIT", "x & 63"),
    ("BITS_PER_TYPE", "u32"),
    ("BIT_ULL", "x & 63"),
    ("BUILD_BUG_ON_ZERO", "0"),
    ("DIV_ROUND_DOWN_ULL", "x, 10"),
    ("DIV_ROUND_UP", "x, 10"),
    ("DIV_ROUND_UP_ULL", "x, 10"),
    ("GENMASK", "47, 3"),
    ("GENMASK_ULL", "47, 3"),
    ("IS_ALIGNED", "x, 16"),
    ("IS_BUILTIN", "CONFIG_64BIT"),
    ("IS_ENABLED", "CONFIG_EXT4_FS"),
    ("IS_MODULE", "CONFIG_EXT4_FS"),
    ("PAGE_ALIGN", "x"),
    ("PTR_ALIGN", "pointer, 16"),
    ("READ_ONCE", "x"),
    ("atomic64_read", "(atomic64_t *)pointer"),
    ("atomic_long_read", "(atomic_long_t *)pointer"),
    ("atomic_read", "(atomic_t *)pointer"),
    ("clamp", "x, 10U, 1000U"),
    ("clamp_t", "u16, x, 10, 1000"),
    ("container_of_const", "list, struct task_struct, tasks"),
    ("div64_u64", "x, y | 1"),
    ("div64_ul", "x, y | 1"),
    ("div_u64", "x, (u32)y | 1"),
    ("hlist_empty", "(struct hlist_head *)pointer"),
    ("hlist_entry", "(struct hlist_node *)pointer, struct dentry, d_u.d_alias"),
    ("hlist_unhashed", "(struct hlist_node *)pointer"),
    ("inet_csk", "sk"),
    ("inet_rsk", "req"),
    ("list_entry", "list, struct task_struct, tasks"),
    ("list_first_entry", "list, struct task_struct, tasks"),
    ("list_last_entry", "list, struct task_struct, tasks"),
    ("list_next_entry", "task, tasks"),
    ("list_prev_entry", "task, tasks"),
    ("max", "x, y"),
    ("max_t", "u16, x, y"),
    ("min", "x, y"),
    ("min_t", "u16, x, y"),
    ("offsetofend", "struct sock, sk_prot"),
    ("rb_entry", "(struct rb_node *)pointer, struct sched_entity, run_node"),
    ("refcount_read", "r"),
    ("round_down", "x, 16"),
    ("round_up", "x, 16"),
    ("rounddown", "x, 10"),
    ("roundup", "x, 10"),
    ("sizeof_field", "struct sock, sk_prot"),
    ("skb_queue_len", "(struct sk_buff_head *)pointer"),
    ("tcp_rsk", "req"),
];

/// Macros that have no value to compare, or none that the headers of this kernel have, and why.
const UNCHECKED: &[(&str, &str)] = &[
    ("BUILD_BUG_ON", "a statement"),
    ("BUILD_BUG_ON_MSG", "a statement"),
    ("WRITE_ONCE", "a statement"),
    ("barrier_data", "a statement"),
    ("fallthrough", "a statement"),
    ("static_assert", "a declaration"),
    ("swap", "a statement"),
    ("typeof_member", "a type"),
    ("unreachable", "a statement"),
    ("__exit", "a section of the kernel"),
    ("__init", "a section of the kernel"),
    ("__must_check", "a warning that probes do not want"),
    ("__read_mostly", "a section of the kernel"),
    ("asmlinkage", "an annotation"),
    ("noinline", "an annotation"),
    ("notrace", "an annotation"),
    ("memcmp", "what the compiler puts in place"),
    ("memcpy", "what the compiler puts in place"),
    ("memmove", "what the compiler puts in place"),
    ("memset", "what the compiler puts in place"),
    ("sockaddr_storage", "another tag: the test of the corpus compiles it"),
    ("rcu_head", "another tag: the test of the corpus compiles it"),
];

/// The header files of a kernel, as a distribution installs them for building modules.
struct Headers {
    /// What was made for one configuration.
    build: PathBuf,
    /// What all configurations share.
    source: PathBuf,
    /// Its architecture's folder below `arch/`.
    arch: &'static str,
}

impl Headers {
    fn find() -> Result<Self, need::Skip> {
        let missing = || need::Skip::required("no kernel headers below /usr/src (run ci/setup)");
        let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86" };
        let folders = fs::read_dir("/usr/src").map_err(|_| missing())?;
        let mut found: Vec<PathBuf> = folders.flatten().map(|entry| entry.path()).collect();
        found.retain(|path| path.join("include/generated/autoconf.h").exists());
        found.sort();
        let build = found.pop().ok_or_else(missing)?;
        // Debian's Makefile includes that of what is shared.
        let makefile = fs::read_to_string(build.join("Makefile")).unwrap_or_default();
        let shared = makefile.lines().find_map(|line| line.strip_prefix("include ")?.strip_suffix("/Makefile"));
        let source = shared.map_or_else(|| build.clone(), PathBuf::from);
        Ok(Self { build, source, arch })
    }

    /// The arguments by which Kbuild and BCC find a kernel's headers.
    fn arguments(&self, clang: &str) -> Result<Vec<String>> {
        let builtin = Command::new(clang).arg("-print-resource-dir").output()?;
        let builtin = String::from_utf8(builtin.stdout)?;
        let mut arguments: Vec<String> = ["-nostdinc", "-isystem"]
            .map(String::from)
            .into_iter()
            .chain([format!("{}/include", builtin.trim())])
            .collect();
        let arch = format!("arch/{}/include", self.arch);
        for (folder, below) in [
            (&self.source, arch.clone()),
            (&self.build, format!("{arch}/generated")),
            (&self.source, "include".into()),
            (&self.build, "include".into()),
            (&self.source, format!("{arch}/uapi")),
            (&self.build, format!("{arch}/generated/uapi")),
            (&self.source, "include/uapi".into()),
            (&self.build, "include/generated/uapi".into()),
        ] {
            arguments.push(format!("-I{}", folder.join(below).display()));
        }
        for header in ["compiler-version.h", "kconfig.h", "compiler_types.h"] {
            arguments.push("-include".into());
            arguments.push(self.source.join("include/linux").join(header).display().to_string());
        }
        let others = ["-D__KERNEL__", "-DKBUILD_MODNAME=\"dbcc\"", "-std=gnu11", "-O1", "-w", "-ferror-limit=0"];
        arguments.extend(others.map(String::from));
        let code = ["-fshort-wchar", "-funsigned-char", "-fno-strict-aliasing", "-fno-stack-protector", "-fno-PIE"];
        arguments.extend(code.map(String::from));
        if self.arch == "x86" {
            let registers = ["-mno-sse", "-mno-mmx", "-mno-avx", "-fcf-protection=none", "-DCC_USING_FENTRY"];
            arguments.extend(registers.map(String::from));
        }
        Ok(arguments)
    }
}

/// A macro of `templates/`.
struct Macro {
    /// The names of its parameters; none where it has no parentheses.
    parameters: Option<Vec<String>>,
    /// What it stands for.
    body: String,
}

impl Macro {
    /// Whether it is no value, and is compared as text: an annotation, the path to a member.
    fn is_text(&self, macros: &BTreeMap<String, Macro>) -> bool {
        let word = self.body.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').next();
        let word = word.unwrap_or_default();
        let is_name = word.starts_with(|first: char| first.is_ascii_lowercase() || first == '_');
        let names_none = self.body.is_empty() || (is_name && !macros.contains_key(word));
        word == "__attribute__" || (self.parameters.is_none() && names_none)
    }
}

/// The headers of `templates/` that stand for headers of the kernel, by the names below it.
fn templates() -> Result<Vec<String>> {
    fn walk(root: &Path, folder: &Path, found: &mut Vec<String>) -> Result<()> {
        for entry in fs::read_dir(root.join(folder))? {
            let name = folder.join(entry?.file_name());
            if root.join(&name).is_dir() {
                walk(root, &name, found)?;
            } else {
                found.push(name.display().to_string());
            }
        }
        Ok(())
    }
    let mut found = Vec::new();
    walk(&need::repository().join("templates"), Path::new(""), &mut found)?;
    // Those of the C library are not the kernel's.
    found.retain(|name| name.contains('/') && !name.starts_with("dbcc/") && !name.starts_with("bcc/"));
    found.sort();
    Ok(found)
}

/// All macros that `templates/` define, as the preprocessor knows them.
fn macros(clang: &str, headers: &Headers, names: &[String]) -> Result<BTreeMap<String, Macro>> {
    let version = headers.build.join("include/generated/uapi/linux/version.h");
    let run = |text: &str| -> Result<String> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("all.c");
        fs::write(&file, text)?;
        let output = Command::new(clang)
            .args(["-E", "-dM", "-nostdinc", "-D__TARGET_ARCH_x86", "-include"])
            .arg(&version)
            .arg("-isystem")
            .arg(need::repository().join("templates"))
            .arg(&file)
            .output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    };
    let before: BTreeSet<String> = run("")?.lines().map(String::from).collect();
    let text: String = names.iter().map(|name| format!("#include <{name}>\n")).collect();
    let mut found = BTreeMap::new();
    for line in run(&text)?.lines().filter(|line| !before.contains(*line)) {
        let rest = line.strip_prefix("#define ").context("not a macro")?;
        let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        if name.starts_with("DBCC_") || name.starts_with("dbcc_") {
            continue;
        }
        let list = behind.strip_prefix('(').and_then(|rest| rest.split_once(')'));
        let body = list.map_or(behind, |(_, body)| body).trim().to_owned();
        let parameters = list
            .map(|(list, _)| list.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect());
        found.insert(name.to_owned(), Macro { parameters, body });
    }
    Ok(found)
}

/// The members of the types that templates give for kernels whose BTF has them in a module: type, member, and whether the
/// member is of the kernel's type.
fn members(names: &[String]) -> Result<Vec<(String, String, bool)>> {
    let mut found: Vec<(String, String, String)> = Vec::new();
    for name in names {
        let text = fs::read_to_string(need::repository().join("templates").join(name))?;
        let mut of = None;
        for line in text.lines() {
            if let Some(tag) = line.strip_prefix("#ifndef DBCC_KERNEL_HAS_") {
                of = Some(tag.to_owned());
            } else if line.starts_with('}') {
                of = None;
            } else if let Some(of) = of.as_ref().filter(|_| line.starts_with("    ")) {
                let (ty, member) = line.trim().trim_end_matches(';').rsplit_once(' ').context("a member")?;
                found.push((of.clone(), member.trim_start_matches('*').to_owned(), ty.to_owned()));
            }
        }
    }
    let tags: BTreeSet<String> = found.iter().map(|(of, ..)| format!("struct {of}")).collect();
    Ok(found.iter().map(|(of, member, ty)| (of.clone(), member.clone(), !tags.contains(ty))).collect())
}

/// The C program that compares.
fn program(names: &[String], macros: &BTreeMap<String, Macro>, members: &[(String, String, bool)]) -> String {
    let mut text = String::new();
    let mut line = |part: &str| {
        text.push_str(part);
        text.push('\n');
    };
    for first in [
        "linux/version.h",
        "linux/sched.h",
        "linux/socket.h",
        "net/sock.h",
        "linux/fs.h",
        "linux/security.h",
        "linux/inetdevice.h",
    ] {
        line(&format!("#include <{first}>"));
    }
    for name in names {
        for name in [name.clone(), format!("uapi/{name}")] {
            line(&format!("#if __has_include(<{name}>)\n#include <{name}>\n#endif"));
        }
    }
    line("#define TEXT_(x...) #x\n#define TEXT(x...) TEXT_(x)");
    // The shape of a value: its size, whether it is signed, whether it is a pointer.
    line(
        "#define SHAPE(e) ((int)(sizeof(e) * 100 + __builtin_classify_type(e)) * 2 + \
         _Generic((e), char: 0, signed char: 1, short: 1, int: 1, long: 1, long long: 1, default: 0))",
    );
    line("struct value { u64 value; int shape; const char *text; };");
    line("static char memory[64][1 << 14] __attribute__((aligned(64)));");
    line("static u64 x, y, array[7];");
    let others: BTreeSet<&String> = macros
        .values()
        .flat_map(|one| one.parameters.iter().flatten())
        .filter(|name| {
            !POINTERS.iter().any(|(known, _)| known == name) && !matches!(name.as_str(), "x" | "y" | "array")
        })
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
        .collect();
    for name in &others {
        line(&format!("static unsigned int value_{name};"));
    }
    for (name, ty) in POINTERS {
        line(&format!("static {ty}{name};"));
    }
    let unchecked = |name: &str| UNCHECKED.iter().any(|(known, _)| *known == name);
    for (prefix, undefine) in [("kernel", false), ("template", true)] {
        if undefine {
            for name in macros.keys() {
                line(&format!("#undef {name}"));
            }
            line(
                "#define bpf_ntohs(x) ((__u16)__builtin_bswap16(x))\n#define bpf_htons(x) ((__be16)__builtin_bswap16(x))",
            );
            line(
                "#define bpf_ntohl(x) ((__u32)__builtin_bswap32(x))\n#define bpf_htonl(x) ((__be32)__builtin_bswap32(x))",
            );
            line("#define bpf_be64_to_cpu(x) ((__u64)__builtin_bswap64(x))");
            line("#define bpf_cpu_to_be64(x) ((__be64)__builtin_bswap64(x))");
            line("#define __TARGET_ARCH_x86");
            // The same types under other names.
            for (of, ..) in members {
                line(&format!("#undef {of}\n#define {of} dbcc_{of}"));
            }
            for name in names {
                line(&format!("#include \"{}\"", need::repository().join("templates").join(name).display()));
            }
        }
        for (of, member, is_same) in members.iter().filter(|_| undefine) {
            line(&format!("#undef {of}"));
            let size = |of: &str| if *is_same { format!("sizeof(((struct {of} *)0)->{member})") } else { "1".into() };
            let (kernel, template) = (size(of), size(&format!("dbcc_{of}")));
            line(&format!("_Static_assert(offsetof(struct {of}, {member}) + 1 && {kernel} == {template}, \"{of}\");"));
        }
        for (name, one) in macros.iter().filter(|(name, _)| !unchecked(name)) {
            let known = ARGUMENTS.iter().find(|(known, _)| known == name).map(|(_, arguments)| (*arguments).to_owned());
            let arguments = known.or_else(|| {
                let parameters = one.parameters.as_ref()?.iter().map(|name| match others.contains(name) {
                    true => format!("value_{name}"),
                    false => name.clone(),
                });
                Some(parameters.collect::<Vec<_>>().join(", "))
            });
            let value = match (&arguments, one.is_text(macros)) {
                (Some(arguments), true) => format!("0, 0, TEXT({name}({arguments}))"),
                (None, true) => format!("0, 0, TEXT({name})"),
                (Some(arguments), false) => {
                    line(&format!("static struct value {prefix}_{name}(void)"));
                    let call = format!("{name}({arguments})");
                    line(&format!("{{ return (struct value){{ (u64)({call}), SHAPE({call}), \"\" }}; }}"));
                    continue;
                }
                (None, false) => format!("(u64)({name}), SHAPE({name}), \"\""),
            };
            line(&format!("static const struct value {prefix}_{name}_value = {{ {value} }};"));
        }
    }
    line(
        "static const struct { const char *name; const struct value *values[2]; struct value (*calls[2])(void); } rows[] = {",
    );
    for (name, one) in macros.iter().filter(|(name, _)| !unchecked(name)) {
        line(&match one.parameters.is_some() && !one.is_text(macros) {
            true => format!("{{ \"{name}\", {{}}, {{ kernel_{name}, template_{name} }} }},"),
            false => format!("{{ \"{name}\", {{ &kernel_{name}_value, &template_{name}_value }}, {{}} }},"),
        });
    }
    line("};");
    let mut set = String::new();
    for (number, (name, ty)) in POINTERS.iter().enumerate() {
        let _ = match ty.ends_with('*') {
            true => writeln!(set, "    {name} = (void *)memory[{number}];"),
            false => writeln!(set, "    memcpy(&{name}, memory[{number}], sizeof({name}));"),
        };
    }
    for name in &others {
        let _ = writeln!(set, "    value_{name} = next();");
    }
    line(&RUN.replace("SET;", &set));
    text
}

/// Fills the memory with numbers that are the same at each run, lets pointers that are followed point into it, and
/// compares.
const RUN: &str = r#"
extern int printf(const char *, ...);
extern int strcmp(const char *, const char *);
static u64 state = 88172645463325252ULL;
static u64 next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state >> (state & 31);
}
int main(void)
{
    int wrong = 0;
    for (int round = 0; round < 200; round++) {
        for (unsigned long i = 0; i < sizeof(memory) / 8; i++)
            ((u64 *)memory)[i] = next();
        x = next();
        y = next();
SET;
        skb->head = (void *)memory[60];
        skb->data = (void *)(memory[60] + (x & 255));
        skb->end = 4096;
        sk->sk_state = x % TCP_MAX_STATES;
        zone->zone_pgdat = (void *)((char *)zone - 4096);
        for (unsigned long i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            if (round && rows[i].values[0])
                continue;
            struct value a = rows[i].values[0] ? *rows[i].values[0] : rows[i].calls[0]();
            struct value b = rows[i].values[1] ? *rows[i].values[1] : rows[i].calls[1]();
            if (a.value == b.value && a.shape == b.shape && !strcmp(a.text, b.text))
                continue;
            if (wrong++ < 200)
                printf("%s: the kernel has %#llx (shape %d) %s, the template %#llx (shape %d) %s\n", rows[i].name,
                       a.value, a.shape, a.text, b.value, b.shape, b.text);
        }
        if (wrong)
            return 1;
    }
    printf("%lu macros\n", sizeof(rows) / sizeof(rows[0]));
    return 0;
}
"#;

#[test]
fn macros_mean_what_the_headers_of_the_kernel_mean() -> Result<()> {
    let headers = need!(Headers::find());
    let clang = std::env::var("DBCC_CLANG").unwrap_or_else(|_| {
        let found = (14..30).rev().map(|version| format!("clang-{version}"));
        let works = |name: &String| Command::new(name).arg("--version").output().is_ok();
        found.into_iter().find(works).unwrap_or_else(|| "clang".into())
    });
    let names = templates()?;
    let macros = macros(&clang, &headers, &names)?;
    for (name, _) in UNCHECKED.iter().chain(ARGUMENTS) {
        ensure!(macros.contains_key(*name), "`{name}` is listed, and no template defines it");
    }
    let folder = tempfile::tempdir()?;
    let place = |name: &str| folder.path().join(name);
    let text = program(&names, &macros, &members(&names)?);
    if let Some(keep) = std::env::var_os("DBCC_KEEP_PROGRAM") {
        fs::write(keep, &text)?;
    }
    fs::write(place("both.c"), &text)?;
    let compiled = Command::new(&clang)
        .args(headers.arguments(&clang)?)
        .arg("-c")
        .arg(place("both.c"))
        .arg("-o")
        .arg(place("both.o"))
        .output()?;
    if !compiled.status.success() {
        let said = String::from_utf8_lossy(&compiled.stderr);
        bail!("{}", said.chars().take(20_000).collect::<String>());
    }
    // What headers declare and the kernel would have is not called.
    let linked = Command::new("cc")
        .args(["-no-pie", "-Wl,--unresolved-symbols=ignore-all", "-Wl,-z,noexecstack", "-o"])
        .arg(place("both"))
        .arg(place("both.o"))
        .output()?;
    ensure!(linked.status.success(), "{}", String::from_utf8_lossy(&linked.stderr));
    let output = Command::new(place("both")).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{said}{}", output.status);
    eprintln!("{said}");
    ensure!(said.split(' ').next().and_then(|count| count.parse::<u32>().ok()) > Some(1000), "{said}");
    Ok(())
}
