// C11, 7.24.
#include <linux/string.h>
