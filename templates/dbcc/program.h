/* What programs need beside their code. */
#pragma once

#define DBCC_STRING_(x...) #x
#define DBCC_STRING(x...) DBCC_STRING_(x)

#ifdef DBCC_PARSE

/* The AST does not show the names of sections. */
#undef SEC
#define SEC(name) __attribute__((section(name), used, annotate("dbcc:sec:" name)))

#endif
