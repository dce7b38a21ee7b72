// C11, 7.19: size_t, NULL and offsetof are in the preamble.
#ifndef DBCC_STDDEF_H
#define DBCC_STDDEF_H

typedef long ptrdiff_t;

#endif
