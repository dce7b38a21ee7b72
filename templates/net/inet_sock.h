// Short names for members of struct inet_sock: include/net/inet_sock.h, Linux 6.1.
#ifndef DBCC_NET_INET_SOCK_H
#define DBCC_NET_INET_SOCK_H

#include <net/sock.h>

#define inet_daddr sk.__sk_common.skc_daddr
#define inet_rcv_saddr sk.__sk_common.skc_rcv_saddr
#define inet_dport sk.__sk_common.skc_dport
#define inet_num sk.__sk_common.skc_num

#define ir_loc_addr req.__req_common.skc_rcv_saddr
#define ir_rmt_addr req.__req_common.skc_daddr
#define ir_num req.__req_common.skc_num
#define ir_rmt_port req.__req_common.skc_dport
#define ir_v6_rmt_addr req.__req_common.skc_v6_daddr
#define ir_v6_loc_addr req.__req_common.skc_v6_rcv_saddr
#define ir_iif req.__req_common.skc_bound_dev_if
#define ir_cookie req.__req_common.skc_cookie

// Casts (see <linux/tcp.h>).
#define inet_sk(sk) ((struct inet_sock *)(sk))
#define inet_rsk(request) ((struct inet_request_sock *)(request))

#endif
