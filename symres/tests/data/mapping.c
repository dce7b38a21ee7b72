// Writes the address of one of its functions to standard output, and waits until standard input ends. Without libraries,
// so that it can be linked in any way.

#ifdef LIBRARY
// The program calls it and is told the address by it.
#define ENTRY void in_library
#else
#define ENTRY void _start
#endif

static long call(long number, long a, const void *b, long c) {
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return result;
}

__attribute__((noinline, used, section(".text.probed"))) int probe_me(int a) { return a * 41 + 17; }

// So much code that the functions are not in the first page.
__asm__(".section .text.fill, \"ax\", @progbits\n.skip 9001, 0x90\n.text");

__attribute__((used, force_align_arg_pointer)) ENTRY(void) {
  void *address = (void *)probe_me;
  char end;
  call(1, 1, &address, sizeof address);
  while (call(0, 0, &end, 1) > 0) {
  }
  call(60, 0, 0, 0);
}
