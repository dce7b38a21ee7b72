// include/linux/string.h: what clang expands in place.
#include <string.h>
