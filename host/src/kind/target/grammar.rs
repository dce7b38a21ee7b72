//! How targets are written: what stands behind `KIND:`, taken apart.

use super::TargetSpec;
use crate::kind::pattern::{NamePattern, is_regex};

/// The kernel function that a name of BCC's means: `sys_clone` is the system call's wrapper, `__x64_sys_clone` (Linux
/// 4.17, CONFIG_ARCH_HAS_SYSCALL_WRAPPER).
pub(in crate::kind) fn system_call(name: &str) -> String {
    let wrapper = if cfg!(target_arch = "aarch64") { "__arm64_" } else { "__x64_" };
    if name.starts_with("sys_") { format!("{wrapper}{name}") } else { name.to_owned() }
}

/// The target that BCC's name of an fentry program means behind its prefix: `vmlinux__vfs_read` is `vfs_read`, and
/// `nf_conntrack__nf_ct_delete` is `nf_conntrack:nf_ct_delete`. A name that starts with `_` is a function's own, as in
/// `__x64_sys_openat`.
pub(in crate::kind) fn module_function(rest: &str) -> String {
    match rest.split_once("__") {
        Some(("vmlinux", function)) => function.to_owned(),
        Some((module, function)) if !module.is_empty() && !function.is_empty() => format!("{module}:{function}"),
        _ => rest.to_owned(),
    }
}

/// The target in the section of a user function: it begins with a file, whose path may begin with a slash.
pub(in crate::kind) fn user_section(rest: &str) -> Option<String> {
    (!rest.is_empty()).then(|| rest.to_owned())
}

/// Reads `[MODULE:]FUNC` of the kernel.
pub(in crate::kind) fn whole_function(text: &str) -> Result<TargetSpec, String> {
    let (module, function) = text.split_once(':').map_or((None, text), |(module, rest)| (Some(module), rest));
    let good = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    if module.is_some_and(|module| module.is_empty() || !module.chars().all(good)) {
        return Err("what stands before the `:` is no name of a module".to_owned());
    }
    match kernel_function(function)? {
        TargetSpec::KernelFunction { offset, .. } if offset != 0 => {
            Err("it has an offset, and only a whole function has an entry and a return".to_owned())
        }
        TargetSpec::KernelFunction { name, offset } => {
            let name = module.map_or(name.clone(), |module| format!("{module}:{name}"));
            Ok(TargetSpec::KernelFunction { name, offset })
        }
        other => Ok(other),
    }
}

/// Reads `FUNC[+OFF]` of the kernel.
pub(in crate::kind) fn kernel_function(text: &str) -> Result<TargetSpec, String> {
    let (name, offset) = split_offset(text)?;
    let known = |letter: char| letter.is_ascii_alphanumeric() || "_.$".contains(letter);
    if name.is_empty() {
        return Err("it names no function".to_owned());
    }
    match name.chars().find(|letter| !known(*letter)) {
        Some(letter) => Err(format!("`{}` is in no name of a kernel function", letter.escape_default())),
        None => Ok(TargetSpec::KernelFunction { name: name.to_owned(), offset }),
    }
}

/// Reads `FUNC[+OFF]` of the kernel, or a pattern of names.
pub(in crate::kind) fn kernel_functions(text: &str) -> Result<TargetSpec, String> {
    match NamePattern::of(text)? {
        Some(pattern) => Ok(TargetSpec::KernelFunctions { pattern }),
        None => kernel_function(text),
    }
}

/// The pattern that a function as people write it is: a `*` may also be a pointer among its parameters, or an operator.
fn user_pattern(function: &str) -> Result<Option<NamePattern>, String> {
    let name = function.split(['(', '<']).next().unwrap_or_default();
    let is_pattern = is_regex(function) || (name == function && name.contains('*') && !name.contains("operator"));
    if is_pattern { NamePattern::of(function) } else { Ok(None) }
}

/// Reads `[BINARY:]FUNC[+OFF]`, with an address, `FILE:LINE` or a pattern in place of the function. A single `:` outside of
/// brackets separates; `::` belongs to the name, and so do the one in `f[abi:cxx11]` and the one before a line.
pub(in crate::kind) fn user_function(text: &str) -> Result<TargetSpec, String> {
    let (binary, rest) = binary_and_rest(text);
    let (function, offset) = split_offset(rest.trim())?;
    if binary == Some("") || rest.starts_with(':') && !rest.starts_with("::") {
        return Err("nothing stands before the `:`".to_owned());
    }
    if function.is_empty() {
        return Err("it names no function".to_owned());
    }
    if text.contains('\0') {
        return Err("it holds a NUL".to_owned());
    }
    if offset != 0 && is_instruction(function) {
        return Err("an address or a line has no offset: give the address itself".to_owned());
    }
    let binary = binary.map(str::to_owned);
    if let Some(pattern) = user_pattern(rest.trim())? {
        return Ok(TargetSpec::UserFunctions { binary, pattern });
    }
    Ok(TargetSpec::UserFunction { binary, function: function.to_owned(), offset })
}

/// The binary of `[BINARY:]FUNCTION`, if one is named, and what stands behind it.
pub fn binary_and_rest(text: &str) -> (Option<&str>, &str) {
    match separator(text).and_then(|at| text.split_at_checked(at)) {
        // What stands before a number is a source file, and the number its line.
        Some((_, rest)) if is_line(rest.strip_prefix(':').unwrap_or(rest).split('+').next().unwrap_or_default()) => {
            (None, text)
        }
        Some((binary, rest)) => (Some(binary.trim()), rest.strip_prefix(':').unwrap_or(rest).trim()),
        None => (None, text),
    }
}

fn is_line(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether what stands in place of a function is one instruction: an address, or a line of a source file.
pub(in crate::kind) fn is_instruction(function: &str) -> bool {
    let is_address = function.starts_with("0x") || function.starts_with("0X");
    is_address || function.rsplit_once(':').is_some_and(|(file, line)| !file.ends_with(':') && is_line(line))
}

/// Reads `[BINARY:][PROVIDER:]NAME`. A path holds a `/`, and a provider does not; the path may hold a `:`.
pub(in crate::kind) fn usdt(text: &str) -> Result<TargetSpec, String> {
    if text.contains('\0') {
        return Err("it holds a NUL".to_owned());
    }
    let mut parts = text.rsplitn(3, ':').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty()).ok_or("it names no probe")?;
    let (binary, provider) = match (parts.next(), parts.next()) {
        (None, _) => (None, None),
        (Some(binary), None) if binary.contains('/') => (Some(binary), None),
        (Some(provider), None) => (None, Some(provider)),
        (Some(provider), Some(binary)) if provider.contains('/') => (Some(join(text, binary, provider)), None),
        (Some(provider), Some(binary)) => (Some(binary), Some(provider)),
    };
    if binary == Some("") {
        return Err("nothing stands before the first `:`".to_owned());
    }
    if name.contains(['/', ' ']) || provider.is_some_and(|provider| provider.contains(' ')) {
        return Err("names of providers and probes have no blanks and no `/`".to_owned());
    }
    // `BINARY::NAME`: any provider.
    let provider = provider.filter(|provider| !provider.is_empty());
    Ok(TargetSpec::Usdt {
        binary: binary.map(str::to_owned),
        provider: provider.map(str::to_owned),
        name: name.to_owned(),
    })
}

/// The start of `text` that holds two neighbours and the `:` between them.
fn join<'t>(text: &'t str, first: &str, second: &str) -> &'t str {
    text.get(..first.len() + 1 + second.len()).unwrap_or(text)
}

/// Reads `CATEGORY:EVENT`.
pub(in crate::kind) fn tracepoint(text: &str) -> Result<TargetSpec, String> {
    let (category, name) = text.split_once(':').ok_or("there is no `:` between category and event")?;
    if let (Ok(category), Ok(name)) = (event_pattern(category), event_pattern(name))
        && (category.0 || name.0)
    {
        return Ok(TargetSpec::Tracepoints { category: category.1, name: name.1 });
    }
    check_event(category)?;
    check_event(name)?;
    Ok(TargetSpec::Tracepoint { category: category.to_owned(), name: name.to_owned() })
}

/// Reads `EVENT`.
pub(in crate::kind) fn raw_tracepoint(text: &str) -> Result<TargetSpec, String> {
    check_event(text)?;
    Ok(TargetSpec::RawTracepoint { name: text.to_owned() })
}

/// A name of an event, or a pattern of names, and whether it is one.
fn event_pattern(text: &str) -> Result<(bool, NamePattern), String> {
    match NamePattern::of(text)? {
        Some(pattern) => Ok((true, pattern)),
        None => {
            check_event(text)?;
            Ok((false, NamePattern::exact(text)))
        }
    }
}

fn check_event(name: &str) -> Result<(), String> {
    // Names of events become paths in tracefs; some categories have a `-` (as `hid-generic`).
    let good = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    if !name.is_empty() && name.chars().all(good) {
        Ok(())
    } else {
        Err(format!("`{}` is no name of letters, digits and `_`", name.escape_default()))
    }
}

/// Place of the single `:` that ends the binary.
fn separator(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut depth = 0_i32;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'(' | b'[' | b'<' => depth = depth.saturating_add(1),
            b')' | b']' | b'>' => depth = depth.saturating_sub(1),
            b':' => {
                let colons = bytes.iter().skip(at).take_while(|byte| **byte == b':').count();
                // Three are one and the `::` of a name in the global namespace.
                if depth <= 0 && (colons == 1 || colons == 3) {
                    return Some(at);
                }
                at += colons - 1;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// Splits `NAME+OFFSET`. A `+` that no number follows belongs to the name (`operator+`).
fn split_offset(text: &str) -> Result<(&str, u64), String> {
    let Some((name, digits)) = text.rsplit_once('+') else { return Ok((text.trim(), 0)) };
    let digits = digits.trim();
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return Ok((text.trim(), 0));
    }
    let offset = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    match offset {
        Ok(offset) => Ok((name.trim(), offset)),
        Err(_) => Err(format!("`{}` is no offset in bytes", digits.escape_default())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &str) -> (Option<String>, String, u64) {
        match user_function(text) {
            Ok(TargetSpec::UserFunction { binary, function, offset }) => (binary, function, offset),
            other => panic!("{text}: {other:?}"),
        }
    }

    fn parts(binary: Option<&str>, function: &str, offset: u64) -> (Option<String>, String, u64) {
        (binary.map(str::to_owned), function.to_owned(), offset)
    }

    #[test]
    fn a_single_colon_separates_the_binary() {
        assert_eq!(user("check_connection"), parts(None, "check_connection", 0));
        assert_eq!(user("mysqld:check_connection"), parts(Some("mysqld"), "check_connection", 0));
        assert_eq!(user("/usr/sbin/mariadbd:THD::init"), parts(Some("/usr/sbin/mariadbd"), "THD::init", 0));
        assert_eq!(user("THD::init"), parts(None, "THD::init", 0));
        assert_eq!(user("::f"), parts(None, "::f", 0));
        assert_eq!(user("x:::f"), parts(Some("x"), "::f", 0), "a name in the global namespace");
        assert_eq!(
            user("mysqld:dispatch_command(THD*, COM_DATA const*, enum_server_command)+0x10"),
            parts(Some("mysqld"), "dispatch_command(THD*, COM_DATA const*, enum_server_command)", 16)
        );
        assert_eq!(user("name[abi:cxx11]()"), parts(None, "name[abi:cxx11]()", 0));
        assert_eq!(user("lib.so:name[abi:cxx11]()"), parts(Some("lib.so"), "name[abi:cxx11]()", 0));
        assert_eq!(user("x: f"), parts(Some("x"), "f", 0));
    }

    #[test]
    fn a_plus_without_a_number_belongs_to_the_name() {
        assert_eq!(user("x:A::operator+"), parts(Some("x"), "A::operator+", 0));
        assert_eq!(user("x:A::operator++(int)"), parts(Some("x"), "A::operator++(int)", 0));
        assert_eq!(user("x:f+16"), parts(Some("x"), "f", 16));
        assert!(user_function("x:f+0xz").unwrap_err().contains("0xz"));
        assert!(user_function("x:f+99999999999999999999").is_err());
    }

    #[test]
    fn a_usdt_probe_has_a_binary_a_provider_and_a_name() {
        let check = |text: &str, binary: Option<&str>, provider: Option<&str>, name: &str| {
            let expected = TargetSpec::Usdt {
                binary: binary.map(str::to_owned),
                provider: provider.map(str::to_owned),
                name: name.to_owned(),
            };
            assert_eq!(usdt(text), Ok(expected), "{text}");
        };
        check("gc__start", None, None, "gc__start");
        check("python:gc__start", None, Some("python"), "gc__start");
        check("python3:python:gc__start", Some("python3"), Some("python"), "gc__start");
        check("/usr/bin/python3:gc__start", Some("/usr/bin/python3"), None, "gc__start");
        check("/a:b/python3:python:gc__start", Some("/a:b/python3"), Some("python"), "gc__start");
        check("/a:b/python3:gc__start", Some("/a:b/python3"), None, "gc__start");
        check("python3::gc__start", Some("python3"), None, "gc__start");
        check("mysqld:mysql:query-start", Some("mysqld"), Some("mysql"), "query-start");
        for text in ["", ":", "a:", ":p:n", "a:b:", "/usr/bin/x", "p q:n", "a\0b"] {
            assert!(usdt(text).is_err(), "{text:?}: {:?}", usdt(text));
        }
    }

    #[test]
    fn addresses_and_lines_stand_in_place_of_functions() {
        assert_eq!(user("mysqld:0x57a8c0"), parts(Some("mysqld"), "0x57a8c0", 0));
        assert_eq!(user("0x57a8c0"), parts(None, "0x57a8c0", 0));
        assert_eq!(user("sql_connect.cc:478"), parts(None, "sql_connect.cc:478", 0), "no binary `sql_connect.cc`");
        assert_eq!(user("mysqld:sql_connect.cc:478"), parts(Some("mysqld"), "sql_connect.cc:478", 0));
        assert_eq!(user("mysqld:/src/sql/a.cc:478"), parts(Some("mysqld"), "/src/sql/a.cc:478", 0));
        assert_eq!(user("mysqld:write@plt"), parts(Some("mysqld"), "write@plt", 0));
        for text in [":478", "x:0x10+4", "a.cc:478+0x10"] {
            assert!(user_function(text).is_err(), "{text:?}");
        }
        assert!(is_instruction("a.cc:478") && is_instruction("0x10"));
        assert!(!is_instruction("A::b") && !is_instruction("f(int)") && !is_instruction("x478"));
    }

    #[test]
    fn nothing_is_no_target() {
        for text in ["", ":", ":f", "x:", "x:+4", "a\0b"] {
            assert!(user_function(text).is_err(), "{text:?}");
        }
        for text in ["", "a b", "f+g h", "f;", "+4", "tcp_send\nmsg"] {
            assert!(kernel_function(text).is_err(), "{text:?}");
        }
        for text in ["", "sock", "sock:", ":x", "../..:x", "a:b:c", "a:b/c"] {
            assert!(tracepoint(text).is_err(), "{text:?}");
        }
        assert!(raw_tracepoint("a b").is_err());
    }

    #[test]
    fn kernel_functions_have_offsets() {
        let spec = |name: &str, offset| Ok(TargetSpec::KernelFunction { name: name.to_owned(), offset });
        assert_eq!(kernel_function("tcp_sendmsg"), spec("tcp_sendmsg", 0));
        assert_eq!(kernel_function("tcp_sendmsg+0x10"), spec("tcp_sendmsg", 16));
        assert_eq!(kernel_function("foo.isra.0"), spec("foo.isra.0", 0));
    }
}
