//! Declarations of maps and calls of their methods.

use crate::facts::MapRole;
use crate::rewrite::tests::{changed, messages, rewritten};

#[test]
fn every_form_of_every_macro_compiles() {
    let text = include_str!("maps.c");
    let facts = rewritten(text, &[]).expect("it is good").facts;
    // One of them stands in a macro, whose two uses are one each; one is a flag.
    assert_eq!(facts.maps.len(), text.matches("BPF_").count() - 1);
    let role = |name: &str| facts.maps.iter().find(|map| map.name == name).map(|map| map.role.clone());
    for table in ["h1", "renamed", "mine", "trie4", "queue", "qsp", "per_cgroup", "lruph"] {
        assert_eq!(role(table), Some(MapRole::Table), "{table}");
    }
    for other in ["progs", "outer4", "per_socket", "devices_hash", "groups", "counters"] {
        assert_eq!(role(other), Some(MapRole::Other), "{other}");
    }
    assert_eq!(role("i4"), Some(MapRole::Histogram));
    assert_eq!(role("build_ids"), Some(MapRole::Stacks));
}

#[test]
fn the_values_of_a_map_of_maps_are_declared_behind_the_text() {
    insta::assert_snapshot!(changed(
        "BPF_HASH_OF_MAPS(outer, u32, \"inner\", 4);\n\
         BPF_HASH(inner, u32, u64); BPF_QUEUE(queue, u64, 8); BPF_ARRAY_OF_MAPS(queues, \"queue\", 2);\n\
         int raw_tracepoint__sys_enter(void *ctx)\n{\n\
         u32 k = 0; u64 one = 1;\n\
         void *map = outer.lookup(&k);\n\
         if (map) bpf_map_update_elem(map, &k, &one, 0);\n\
         return 0;\n}\n",
        &[]
    ), @r#"
    SEC("raw_tracepoint/sys_enter") int raw_tracepoint__sys_enter(void *ctx)
    void *map = dbcc_lookup_inner(outer, 1, &k);
    struct dbcc_inner_outer { typeof(inner.type) type; typeof(inner.max_entries) max_entries; typeof(inner.map_flags) map_flags; typeof(inner.key) key; typeof(inner.value) value; };
    struct dbcc_inner_queues { typeof(queue.type) type; typeof(queue.max_entries) max_entries; typeof(queue.map_flags) map_flags; typeof(queue.value) value; };
    #ifdef BPF_LICENSE
    char _license[] SEC("license") = DBCC_STRING(BPF_LICENSE);
    #else
    char _license[] SEC("license") = "GPL";
    #endif
    "#);
}

#[test]
fn commas_in_arguments_separate_nothing() {
    insta::assert_snapshot!(changed(
        "struct k { u32 a, b; }; struct v { u64 c, d; };\n\
         BPF_HASH(m, struct k, struct v);\n\
         int raw_tracepoint__sys_enter(void *ctx)\n{\n\
         u32 a = 0; struct v v = {};\n\
         m.update(&(struct k){a, 1}, &v);\n\
         m.lookup_or_try_init(&(struct k){ .a = a, .b = 2 }, &(struct v){1, 2});\n\
         return 0;\n}\n",
        &[]
    ), @r#"
    SEC("raw_tracepoint/sys_enter") int raw_tracepoint__sys_enter(void *ctx)
    dbcc_update(m, 1, (&(struct k){a, 1}), &v);
    dbcc_lookup_or_try_init(m, 1, (&(struct k){ .a = a, .b = 2 }), (&(struct v){1, 2}));
    struct dbcc_losses_map dbcc_losses SEC(".maps");
    #ifdef BPF_LICENSE
    char _license[] SEC("license") = DBCC_STRING(BPF_LICENSE);
    #else
    char _license[] SEC("license") = "GPL";
    #endif
    "#);
}

#[test]
fn methods_stand_in_conditions_in_macros_and_in_one_another() {
    insta::assert_snapshot!(changed(
        "#define FOUND(m, k) (m.lookup(k) != NULL)\n\
         #define BUMP(m) m.increment(0)\n\
         BPF_HASH(first, u32, u32); BPF_HASH(second, u32, u64); BPF_ARRAY(hits);\n\
         static inline u64 *both(u32 *k) { u32 *v = first.lookup(k); return v ? second.lookup(v) : NULL; }\n\
         int raw_tracepoint__sys_enter(void *ctx)\n{\n\
         u32 k = 0; u64 zero = 0;\n\
         if (FOUND(first, &k) && !FOUND(second, &k)) BUMP(hits);\n\
         if (!first.delete(&k) || (first.lookup(&k) ?: &k) == &k) first.update(&k, first.lookup_or_init(&k, &k));\n\
         return both(&k) ? 1 : 0;\n}\n",
        &[]
    ), @r#"
    __always_inline static inline u64 *both(u32 *k) { u32 *v = dbcc_lookup(first, 1, k); return v ? dbcc_lookup(second, 2, v) : NULL; }
    SEC("raw_tracepoint/sys_enter") int raw_tracepoint__sys_enter(void *ctx)
    if ((dbcc_lookup(first, 1, &k) != NULL) && !(dbcc_lookup(second, 2, &k) != NULL)) dbcc_increment(hits, 3, 0);
    if (!dbcc_delete(first, 1, &k) || (dbcc_lookup(first, 1, &k) ?: &k) == &k) dbcc_update(first, 1, &k, dbcc_lookup_or_init(first, 1, &k, &k));
    struct dbcc_losses_map dbcc_losses SEC(".maps");
    #ifdef BPF_LICENSE
    char _license[] SEC("license") = DBCC_STRING(BPF_LICENSE);
    #else
    char _license[] SEC("license") = "GPL";
    #endif
    "#);
}

#[test]
fn what_is_wrong_with_a_declaration_is_said_at_the_map() {
    insta::assert_snapshot!(messages(
        "BPF_TABLE(\"hsh\", u32, u64, t, 9);\n\
         BPF_HASH(bad, struct nope, u64);\n\
         BPF_HASH(negative, u32, u64, -5);\n\
         BPF_HASH(inplace, struct in_place { u32 a; u32 b; }, u64);\n\
         int raw_tracepoint__sys_enter(void *ctx) { u64 x = 0; inplace.lookup(&x); return 0; }\n",
        &[]
    ), @"
    Error 1:28 `t`: BCC has no type of maps `hsh`, which `t` is to be
      note: the types are hash, array, histogram, percpu_hash, percpu_array, lru_hash, lru_percpu_hash, lpm_trie, stacktrace, perf_output, perf_array, prog, cgroup_array, sk_storage, inode_storage, task_storage, cgroup_storage, percpu_cgroup_storage, devmap, devmap_hash, cpumap, xskmap, sockmap, sockhash, extern
      help: did you mean `hash`?
    Error 2:1 `BPF_HASH`: field has incomplete type 'struct nope'
      at 2:22 `nope`: forward declaration of 'struct nope'
      note: this kernel's BTF has no `struct nope`, and the probe does not define it
    Error 3:10 `negative`: the size of `negative` is no constant that a map can have
      help: write a positive number, or an expression of numbers, macros and sizeof
    Warning 5:70 `&x`: incompatible pointer types passing 'u64 *' (aka 'unsigned long long *') to parameter of type 'const struct in_place *'
    ");
    insta::assert_snapshot!(messages(
        "BPF_HASH(inner, u32, u64); BPF_ARRAY_OF_MAPS(outer, \"iner\", 4); BPF_ARRAY_OF_MAPS(again, \"outer\", 4);\n\
         BPF_TABLE(\"array_of_maps\", int, int, bare, 4);\n",
        &[]
    ), @r#"
    Error 1:46 `outer`: there is no map `iner` that the values of `outer` could be like
      help: did you mean `inner`?
    Error 1:83 `again`: `outer` cannot be an inner map
      help: an inner map is one of BCC's style that holds no maps itself
    Error 2:38 `bare`: `bare` does not say which map is like its values
      help: write BPF_ARRAY_OF_MAPS(bare, "INNER", SIZE) or BPF_HASH_OF_MAPS(bare, KEY, "INNER", SIZE)
    "#);
}
