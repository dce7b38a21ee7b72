// VLAN: include/linux/if_vlan.h, Linux 6.1.
#ifndef DBCC_LINUX_IF_VLAN_H
#define DBCC_LINUX_IF_VLAN_H

#define VLAN_HLEN 4
#define VLAN_ETH_HLEN 18
#define VLAN_ETH_ZLEN 64
#define VLAN_ETH_DATA_LEN 1500
#define VLAN_ETH_FRAME_LEN 1518
#define VLAN_MAX_DEPTH 8
#define VLAN_PRIO_MASK 0xe000
#define VLAN_PRIO_SHIFT 13
#define VLAN_CFI_MASK 0x1000
#define VLAN_VID_MASK 0xfff
#define VLAN_N_VID 4096

#define skb_vlan_tag_get(skb) ((skb)->vlan_tci)
#define skb_vlan_tag_get_id(skb) ((skb)->vlan_tci & VLAN_VID_MASK)
#define skb_vlan_tag_get_prio(skb) (((skb)->vlan_tci & VLAN_PRIO_MASK) >> VLAN_PRIO_SHIFT)

#endif
