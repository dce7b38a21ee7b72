// Notes of USDT probes for the tests, in the layout of SystemTap's <sys/sdt.h>, version 3
// (https://sourceware.org/systemtap/wiki/UserSpaceProbeImplementation). The operands are the compiler's.
#pragma once

#define USDT_NOTE_(provider, name, semaphore, arguments)                                                             \
	"990: nop\n"                                                                                                   \
	".pushsection .note.stapsdt,\"\",\"note\"\n"                                                                 \
	".balign 4\n"                                                                                                  \
	".4byte 992f-991f, 994f-993f, 3\n"                                                                             \
	"991: .asciz \"stapsdt\"\n"                                                                                  \
	"992: .balign 4\n"                                                                                             \
	"993: .8byte 990b\n"                                                                                           \
	".8byte _.stapsdt.base\n"                                                                                      \
	".8byte " semaphore "\n"                                                                                       \
	".asciz \"" provider "\"\n"                                                                                  \
	".asciz \"" name "\"\n"                                                                                      \
	".asciz \"" arguments "\"\n"                                                                                 \
	"994: .balign 4\n"                                                                                             \
	".popsection\n"                                                                                                \
	".ifndef _.stapsdt.base\n"                                                                                     \
	".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n"                                      \
	".weak _.stapsdt.base\n"                                                                                       \
	".hidden _.stapsdt.base\n"                                                                                     \
	"_.stapsdt.base: .space 1\n"                                                                                   \
	".size _.stapsdt.base, 1\n"                                                                                    \
	".popsection\n"                                                                                                \
	".endif\n"

// A probe; behind the texts stand operands as extended asm has them: USDT("p", "n", "-4@%0", "rm"(x)).
#define USDT(provider, name, arguments, ...)                                                                           \
	__asm__ volatile(USDT_NOTE_(provider, name, "0", arguments) : : __VA_ARGS__)
// A probe with a semaphore: a variable of two bytes in the section .probes.
#define USDT_WITH(semaphore, provider, name, arguments, ...)                                                           \
	__asm__ volatile(USDT_NOTE_(provider, name, #semaphore, arguments) : : __VA_ARGS__)
#define USDT_SEMAPHORE(name) unsigned short name __attribute__((section(".probes"), used))
