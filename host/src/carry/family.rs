//! What the type of a map says about carrying it over.

/// What becomes of maps of a type.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// What is in them is of use to the next version; or why it cannot have it.
    Kept(Option<&'static str>),
    /// They belong to a version: there is nothing in them to be kept.
    Own,
}

/// The types of maps whose content is not carried over, by the names that libbpf has for them.
const TYPES: &[(&[&str], Family)] = &[
    // Each version reads its own events.
    (&["perf_event_array", "ringbuf", "user_ringbuf"], Family::Own),
    // Directives fill them for each version anew; maps that are in others are carried over by their own names.
    (&["prog_array", "cgroup_array", "array_of_maps", "hash_of_maps"], Family::Own),
    (&["devmap", "devmap_hash", "cpumap", "xskmap", "struct_ops"], Family::Own),
    (&["sockmap", "sockhash"], Family::Kept(Some("the programs that are attached to it go with it"))),
    (
        &["cgroup_storage", "percpu_cgroup_storage"],
        Family::Kept(Some("such a map belongs to the programs of one version")),
    ),
];

/// The family of a map, by its name and that of its type.
pub(super) fn family(name: &str, type_name: &str) -> &'static Family {
    let data = name.starts_with(".data") || name.starts_with(".bss");
    // Constants, and the maps that dbcc and libbpf add.
    if (name.starts_with('.') && !data) || name.starts_with("dbcc_") || name.starts_with("__bpf_usdt_") {
        return &Family::Own;
    }
    let found = TYPES.iter().find(|(names, _)| names.contains(&type_name));
    found.map_or(&Family::Kept(None), |(_, family)| family)
}
