// Network devices: include/linux/netdevice.h, include/uapi/linux/netdevice.h, Linux 6.1.
#ifndef DBCC_LINUX_NETDEVICE_H
#define DBCC_LINUX_NETDEVICE_H

#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/skbuff.h>

#define MAX_ADDR_LEN 32
#define INIT_NETDEV_GROUP 0
#define dev_net(device) ((device)->nd_net.net)

#endif
