// Packets: include/linux/skbuff.h, Linux 6.1. On 64-bit machines the ends of a packet are offsets
// (NET_SKBUFF_DATA_USES_OFFSET).
#ifndef DBCC_LINUX_SKBUFF_H
#define DBCC_LINUX_SKBUFF_H

#define CHECKSUM_NONE 0
#define CHECKSUM_UNNECESSARY 1
#define CHECKSUM_COMPLETE 2
#define CHECKSUM_PARTIAL 3

#define skb_end_pointer(skb) ((skb)->head + (skb)->end)
#define skb_tail_pointer(skb) ((skb)->head + (skb)->tail)
#define skb_shinfo(skb) ((struct skb_shared_info *)skb_end_pointer(skb))
#define skb_transport_header(skb) ((skb)->head + (skb)->transport_header)
#define skb_network_header(skb) ((skb)->head + (skb)->network_header)
#define skb_mac_header(skb) ((skb)->head + (skb)->mac_header)
#define skb_transport_offset(skb) ((int)(skb_transport_header(skb) - (skb)->data))
#define skb_network_offset(skb) ((int)(skb_network_header(skb) - (skb)->data))
#define skb_transport_header_was_set(skb) ((bool)((skb)->transport_header != (typeof((skb)->transport_header))~0U))
#define skb_mac_header_was_set(skb) ((skb)->mac_header != (typeof((skb)->mac_header))~0U)
#define skb_network_header_len(skb) ((u32)((skb)->transport_header - (skb)->network_header))
#define skb_headlen(skb) ((skb)->len - (skb)->data_len)
#define skb_headroom(skb) ((unsigned int)((skb)->data - (skb)->head))
#define skb_is_nonlinear(skb) ((bool)(skb)->data_len)
#define skb_is_gso(skb) ((bool)skb_shinfo(skb)->gso_size)
#define skb_queue_len(list) ((list)->qlen)
#define skb_dst(skb) ((struct dst_entry *)((skb)->_skb_refdst & SKB_DST_PTRMASK))
#define SKB_DST_NOREF 1UL
#define SKB_DST_PTRMASK (~SKB_DST_NOREF)
#define skb_get_queue_mapping(skb) ((skb)->queue_mapping)
#define skb_get_rx_queue(skb) ((u16)((skb)->queue_mapping - 1))
#define skb_rx_queue_recorded(skb) ((bool)((skb)->queue_mapping != 0))

#endif
