//! What a text asks the kernel: the names `DBCC_HAVE_…` in it, and which of them this kernel has.

use std::collections::BTreeSet;

use crate::facts::{CompileRequest, Features};
use crate::kernel::Kernel;
use crate::kernel::tracepoint::Tracepoint;
use crate::lex::Lexed;
use crate::template::{HAVE_TRACEPOINT, local_headers};

/// How all of the names begin.
const HAVE: &str = "DBCC_HAVE_";

/// The names that a probe asks for, in its text, in headers beside it, and in values of `-D`.
pub fn asked(request: &CompileRequest) -> BTreeSet<String> {
    let lexed = Lexed::new(&request.source.text);
    let mut names = lexed.identifiers();
    for header in local_headers(&lexed, request.source.dir.as_deref()) {
        names.extend(Lexed::new(&header.text).identifiers());
    }
    names.extend(request.defines.iter().flat_map(|(_, value)| Lexed::new(value).identifiers()));
    // Such an output is a ring buffer where the kernel has them.
    if names.contains("BPF_PERF_OUTPUT") {
        names.insert("DBCC_HAVE_RINGBUF".to_owned());
    }
    names.retain(|name| name.starts_with(HAVE));
    names
}

/// Those of the names that the kernel has.
pub fn offered(asked: &BTreeSet<String>, features: Features, kernel: &Kernel) -> BTreeSet<String> {
    let has = |name: &&String| match name.strip_prefix(HAVE_TRACEPOINT) {
        None => flag(&mut features.clone(), name).is_some_and(|flag| *flag),
        Some(_) if !features.tracepoint => false,
        Some(rest) => rest.split_once("__").is_some_and(|(category, name)| {
            kernel.tracefs().is_ok_and(|tracefs| Tracepoint::read(tracefs, category, name).is_ok())
        }),
    };
    asked.iter().filter(has).cloned().collect()
}

/// The request for a kernel that has just `offers` of what is `asked`, and of what is not asked what the request says.
pub fn assuming(request: &CompileRequest, asked: &BTreeSet<String>, offers: &BTreeSet<String>) -> CompileRequest {
    let mut request = request.clone();
    for name in asked {
        let has = offers.contains(name);
        if let Some(flag) = flag(&mut request.features, name) {
            *flag = has;
        }
        // Where a tracepoint is assumed, tracepoints are.
        let tracepoint = name.strip_prefix(HAVE_TRACEPOINT).and_then(|rest| rest.split_once("__"));
        if let Some((category, name)) = tracepoint.filter(|_| !has) {
            request.without_tracepoints.push(format!("{category}:{name}"));
        }
    }
    request
}

fn flag<'f>(features: &'f mut Features, name: &str) -> Option<&'f mut bool> {
    features.named().into_iter().find_map(|(known, flag)| (known == name).then_some(flag))
}
