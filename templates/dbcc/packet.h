// Bytes of packets in socket filters and in programs of tc, by their offset from the start of the packet. Loads are the
// classic instructions LD_ABS and LD_IND (Documentation/bpf/standardization/instruction-set.rst, "Legacy BPF Packet
// access instructions"): the result is in the byte order of the machine, and a load behind the end of the packet ends
// the program with 0.
#ifndef DBCC_PACKET_H
#define DBCC_PACKET_H

unsigned long long dbcc_load_byte(void *skb, unsigned long long at) asm("llvm.bpf.load.byte");
unsigned long long dbcc_load_half(void *skb, unsigned long long at) asm("llvm.bpf.load.half");
unsigned long long dbcc_load_word(void *skb, unsigned long long at) asm("llvm.bpf.load.word");

// The field of `bits` bits that starts behind the first `first` bits of the byte at `at`, the most significant bit being
// the first; together at most 64. No byte behind the field is touched.
static __always_inline __u64 dbcc_load_bits(void *skb, __u64 at, __u32 first, __u32 bits)
{
    __u32 last = first + bits;
    __u32 bytes = (last + 7) / 8;
    __u64 value = 0;

    if (bits == 0 || last > 64)
        return 0;
    if (bytes >= 4)
        value = dbcc_load_word(skb, at);
    if (bytes == 8)
        value = value << 32 | dbcc_load_word(skb, at + 4);
    if (bytes & 2)
        value = value << 16 | dbcc_load_half(skb, at + (bytes & 4));
    if (bytes & 1)
        value = value << 8 | dbcc_load_byte(skb, at + bytes - 1);
    return value >> (bytes * 8 - last) & (~0ULL >> (64 - bits));
}

// Sets such a field; what is around it stays.
static __always_inline void dbcc_store_bits(void *skb, __u64 at, __u32 first, __u32 bits, __u64 value)
{
    __u32 last = first + bits;
    __u32 bytes = (last + 7) / 8;
    __u64 mask;

    if (bits == 0 || last > 64)
        return;
    mask = (~0ULL >> (64 - bits)) << (bytes * 8 - last);
    value = (value << (bytes * 8 - last)) & mask;
    if (bits != bytes * 8)
        value |= dbcc_load_bits(skb, at, 0, bytes * 8) & ~mask;
    value = bpf_cpu_to_be64(value << (64 - bytes * 8));
    bpf_skb_store_bytes(skb, at, &value, bytes, 0);
}

// What fields behind pointers to headers become: place, bits, and what is done.
#define dbcc_packet_load(skb, at, first, bits) dbcc_load_bits(skb, at, first, bits)
#define dbcc_packet_store(skb, at, first, bits, new)     \
    ({                                                   \
        __u64 dbcc_new = (new);                          \
        dbcc_store_bits(skb, at, first, bits, dbcc_new); \
        dbcc_new;                                        \
    })
#define dbcc_packet_change(skb, at, first, bits, operator, by)                      \
    ({                                                                              \
        __u64 dbcc_by = (by);                                                       \
        __u64 dbcc_at = (at);                                                       \
        __u64 dbcc_new = dbcc_load_bits(skb, dbcc_at, first, bits) operator dbcc_by; \
        dbcc_store_bits(skb, dbcc_at, first, bits, dbcc_new);                       \
        dbcc_new;                                                                   \
    })
#define dbcc_packet_step(skb, at, first, bits, operator)                    \
    ({                                                                      \
        __u64 dbcc_at = (at);                                               \
        __u64 dbcc_old = dbcc_load_bits(skb, dbcc_at, first, bits);         \
        dbcc_store_bits(skb, dbcc_at, first, bits, dbcc_old operator 1);    \
        dbcc_old;                                                           \
    })

// BCC's names.
#define load_byte(skb, at) dbcc_load_byte(skb, at)
#define load_half(skb, at) dbcc_load_half(skb, at)
#define load_word(skb, at) dbcc_load_word(skb, at)
#define load_dword(skb, at) dbcc_load_bits(skb, at, 0, 64)
#define bpf_dext_pkt(skb, at, first, bits) dbcc_load_bits((void *)(skb), at, first, bits)
#define bpf_dins_pkt(skb, at, first, bits, value) dbcc_store_bits((void *)(skb), at, first, bits, value)

// A pointer to what the cursor points to, and the cursor moves on.
#define cursor_advance(cursor, length)  \
    ({                                  \
        void *dbcc_here = (cursor);     \
        (cursor) += (length);           \
        dbcc_here;                      \
    })

#define bpf_ntohll(x) bpf_be64_to_cpu(x)
#define bpf_htonll(x) bpf_cpu_to_be64(x)
#define bpf_ntoh128(x) dbcc_swap128(x)
#define bpf_hton128(x) dbcc_swap128(x)
static __always_inline unsigned __int128 dbcc_swap128(unsigned __int128 x)
{
    return (unsigned __int128)bpf_be64_to_cpu((__u64)x) << 64 | bpf_be64_to_cpu((__u64)(x >> 64));
}

// Changes a checksum at a place of the packet for a field whose value, in the byte order of the machine, changes.
// `size` is that of the field: 2, 4 or 8; 0 where `to` is a difference already.
static __always_inline __u64 dbcc_cksum_order(__u64 value, __u64 size)
{
    return size == 2 ? bpf_htons(value) : size == 4 ? bpf_htonl(value) : size == 8 ? bpf_htonll(value) : value;
}
#define bpf_l3_csum_replace_(skb, at, from, to, flags) \
    bpf_l3_csum_replace(skb, at, dbcc_cksum_order(from, (flags) & 0xf), dbcc_cksum_order(to, (flags) & 0xf), flags)
#define bpf_l4_csum_replace_(skb, at, from, to, flags) \
    bpf_l4_csum_replace(skb, at, dbcc_cksum_order(from, (flags) & 0xf), dbcc_cksum_order(to, (flags) & 0xf), flags)
#define incr_cksum_l3(at, from, to) bpf_l3_csum_replace_(skb, (__u64)(at), from, to, sizeof(to))
#define incr_cksum_l4(at, from, to, is_pseudo) \
    bpf_l4_csum_replace_(skb, (__u64)(at), from, to, ((is_pseudo) & 1) << 4 | sizeof(to))

#endif
