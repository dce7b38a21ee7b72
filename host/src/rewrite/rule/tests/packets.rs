//! Fields of packets.

use crate::bpf::OpenObject;
use crate::bpf::testing::ready;
use crate::rewrite::tests::{changed, messages, object};

/// A packet: Ethernet, IPv4 of 20 bytes, TCP of 20 bytes, and 8 bytes behind them.
const PACKET: [u8; 62] = [
    0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x08, 0x00, // Ethernet
    0x45, 0x10, 0x00, 0x30, 0xab, 0xcd, 0x41, 0x23, 64, 6, 0x12, 0x34, 10, 0, 0, 1, 192, 168, 7, 9, // IPv4
    0x1f, 0x90, 0xc0, 0x01, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xfe, 0x50, 0x12, 0x20, 0x00, 0xbe, 0xef, 0, 0, // TCP
    1, 2, 3, 4, 5, 6, 7, 8,
];

/// Where IPv4 and TCP start.
const IP: usize = 14;
const TCP: usize = 34;

/// The head of a program of tc with pointers to the headers; `last` is what is behind them.
const HEAD: &str = "#include <bcc/proto.h>\n\
    struct last_t { u8 low:3, high:5; u16 pairs[2]; struct { u8 b, c; } __packed in; u8 end; } BPF_PACKET_HEADER;\n\
    #define PORT(header) ((header)->dst_port)\n\
    SEC(\"tc\") int run(struct __sk_buff *skb)\n{\n\
    u8 *cursor = 0;\n\
    struct ethernet_t *ethernet = cursor_advance(cursor, sizeof(*ethernet));\n\
    struct ip_t *ip = cursor_advance(cursor, sizeof(*ip));\n\
    struct tcp_t *tcp = cursor_advance(cursor, sizeof(*tcp));\n\
    struct last_t *last = cursor_advance(cursor, sizeof(*last));\n\
    u32 one = skb->len / 62;\n";

/// Runs statements over the packet; what they return, and the packet then.
#[track_caller]
fn run(statements: &str) -> (u32, [u8; 62]) {
    let elf = object(&format!("{HEAD}{statements}\nreturn 0;\n}}\n"), &[]);
    let loaded = OpenObject::open(&elf).expect("it is an object").load().expect("the verifier accepts it");
    let mut packet = PACKET;
    let returned = loaded.program("run").expect("it is there").run_over(&mut packet).expect("it runs");
    (returned, packet)
}

#[test]
fn fields_are_loaded_in_the_order_of_the_machine() {
    if !ready() {
        return;
    }
    let fields: &[(&str, u64)] = &[
        ("ethernet->dst", 0x0102_0304_0506),
        ("ethernet->src", 0x1112_1314_1516),
        ("ethernet->type", 0x0800),
        ("ip->ver", 4),
        ("ip->hlen", 5),
        ("ip->tos", 0x10),
        ("ip->identification", 0xabcd),
        ("ip->ffo_unused", 0),
        ("ip->df", 1),
        ("ip->mf", 0),
        ("ip->foffset", 0x123),
        ("ip->src", 0x0a00_0001),
        ("(ip)->dst", 0xc0a8_0709),
        ("tcp->src_port", 8080),
        ("PORT(tcp)", 0xc001),
        ("tcp->ack_num", 0xffff_fffe),
        ("tcp->ack_num << 4", 0xf_ffff_ffe0),
        ("tcp->offset", 5),
        ("tcp->flag_ack", 1),
        ("tcp->flag_psh", 0),
        ("tcp->flag_syn", 1),
        ("last->low", 0),
        ("last->high", 1),
        ("last->pairs[one]", 0x0405),
        ("last->in.c", 7),
        // The last byte of the packet: nothing behind it is touched.
        ("last->end", 8),
        ("(u64)&tcp->cksum", 50),
        ("sizeof(ip->src)", 4),
        ("load_half(skb, 12)", 0x0800),
        ("load_dword(skb, 54)", 0x0102_0304_0506_0708),
        ("bpf_dext_pkt(skb, 26, 4, 12)", 0xa00),
    ];
    let mut text = String::from("u64 wrong = 0;\n");
    for (number, (field, value)) in fields.iter().enumerate() {
        text.push_str(&format!("if (!wrong && {field} != {value}ull) wrong = {number} + 1;\n"));
    }
    let (wrong, packet) = run(&format!("{text}return wrong;"));
    let field = wrong.checked_sub(1).and_then(|number| fields.get(usize::try_from(number).unwrap()));
    assert_eq!(field, None);
    assert_eq!(packet, PACKET);
}

#[test]
fn fields_are_stored_and_their_neighbours_stay() {
    if !ready() {
        return;
    }
    let check = |statement: &str, at: usize, bytes: &[u8]| {
        let mut expect = PACKET;
        expect[at..at + bytes.len()].copy_from_slice(bytes);
        let (_, packet) = run(statement);
        assert_eq!(packet, expect, "{statement}");
    };
    check("ip->src = 0x01020304;", IP + 12, &[1, 2, 3, 4]);
    check("ip->ver = 6;", IP, &[0x65]);
    check("ip->mf = ip->df;", IP + 6, &[0x61, 0x23]);
    check("ip->foffset = 0xffff;", IP + 6, &[0x5f, 0xff]);
    check("ethernet->dst = 0xa1a2a3a4a5a6;", 0, &[0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6]);
    check("ethernet->src = ethernet->dst;", 6, &[1, 2, 3, 4, 5, 6]);
    check("ip->ttl--;", IP + 8, &[63]);
    check("if (ip->ttl-- == 64 && ++ip->ttl == 64) ip->ttl += 2;", IP + 8, &[66]);
    check("tcp->flag_syn = 0; tcp->flag_fin |= 1;", TCP + 13, &[0x11]);
    check("last->pairs[one] <<= 8; last->in.b ^= last->in.c;", TCP + 23, &[5, 0, 1]);
    check("bpf_dins_pkt(skb, 14, 4, 4, 7);", IP, &[0x47]);
}

#[test]
fn checksums_follow_what_changes() {
    if !ready() {
        return;
    }
    let sum = |packet: &[u8]| {
        let words = packet[IP..TCP].chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
        let sum: u32 = words.sum();
        (sum & 0xffff) + (sum >> 16)
    };
    let (_, packet) =
        run("u32 old = ip->dst, new = 0x7f000001;\nincr_cksum_l3(&ip->hchecksum, old, new);\nip->dst = new;\n\
         incr_cksum_l4(&tcp->cksum, old, new, 1);");
    assert_ne!(packet, PACKET);
    assert_eq!(sum(&packet) % 0xffff, sum(&PACKET) % 0xffff);
    assert_ne!(packet[TCP + 16..TCP + 18], PACKET[TCP + 16..TCP + 18]);
}

#[test]
fn a_field_becomes_its_place_and_bits() {
    insta::assert_snapshot!(changed(
        "#include <bcc/proto.h>\n\
         int f(struct __sk_buff *skb)\n{\n\
         struct ip_t *ip = (void *)(u64)skb->cb[0], own = {};\n\
         u16 *list = 0; u32 at = ip->src + own.src;\n\
         ip->ttl = at ? ip->ttl : at; ip->dst += own.dst;\n\
         return bpf_l3_csum_replace(skb, (u64)&ip->hchecksum, 0, 1, sizeof(ip->src));\n}\n",
        &[]
    ), @r#"
    SEC("tc") int f(struct __sk_buff *skb)
    u16 *list = 0; u32 at = dbcc_packet_load(skb, (__u64)(ip) + 12, 0, 32) + own.src;
    dbcc_packet_store(skb, (__u64)(ip) + 8, 0, 8, (at ? dbcc_packet_load(skb, (__u64)(ip) + 8, 0, 8) : at)); dbcc_packet_change(skb, (__u64)(ip) + 16, 0, 32, +, (own.dst));
    #ifdef BPF_LICENSE
    char _license[] SEC("license") = DBCC_STRING(BPF_LICENSE);
    #else
    char _license[] SEC("license") = "GPL";
    #endif
    "#);
}

#[test]
fn what_cannot_be_a_field_of_a_packet_is_said() {
    insta::assert_snapshot!(messages(
        "#include <bcc/proto.h>\n\
         struct odd_t { void *pointer; u8 first:4; unsigned long long wide:64; struct ip_t whole; } BPF_PACKET_HEADER;\n\
         int one(struct __sk_buff *skb) { struct odd_t *odd = 0; struct ip_t own = odd->whole; odd->wide = 1; return odd->pointer != 0; }\n\
         int two(struct xdp_md *ctx) { struct ip_t *ip = 0; return ip->ttl; }\n",
        &[]
    ), @"
    Warning 3:5 `one`: `one` is a program of the kind socket by its context, and is not attached to anything
      help: attach it with `//@ attach socket:INTERFACE = one` in the probe or `--attach socket:INTERFACE=one`
    Error 3:75 `odd->whole`: this cannot be loaded from or stored to a packet: only whole numbers are
      help: copy it with bpf_skb_load_bytes(skb, (u64)&header->field, &own, sizeof(own))
    Error 3:87 `odd->wide`: this cannot be loaded from or stored to a packet: it has more than 64 bits
      help: copy it with bpf_skb_load_bytes(skb, (u64)&header->field, &own, sizeof(own))
    Error 3:109 `odd->pointer`: this cannot be loaded from or stored to a packet: only whole numbers are
      help: copy it with bpf_skb_load_bytes(skb, (u64)&header->field, &own, sizeof(own))
    Warning 4:5 `two`: `two` is a program of the kind xdp by its context, and is not attached to anything
      help: attach it with `//@ attach xdp:INTERFACE[:generic|:native|:offload] = two` in the probe or `--attach xdp:INTERFACE[:generic|:native|:offload]=two`
    Error 4:59 `ip->ttl`: fields of packets need the packet, and this function is not given it
      note: packets are read so in socket filters and in programs of tc
      help: give the function a parameter `struct __sk_buff *skb`; in XDP, read through pointers between `data` and `data_end`
    ");
}
