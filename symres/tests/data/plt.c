// Calls functions of the C library and one that an IFUNC chooses.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Called and its address taken: some linkers have a section of its own for such entries.
typedef size_t length(const char *);
length *volatile by_pointer = strlen;

// A compiler that sees which one is chosen calls it without IFUNC.
volatile int which;
static int chosen_one(int a) { return a + 1; }
static int chosen_two(int a) { return a + 2; }
static int (*choose(void))(int) { return which ? chosen_two : chosen_one; }
__attribute__((ifunc("choose"))) int picked(int a);

int main(int argc, char **argv) {
  char *copy = malloc(100);
  strcpy(copy, argv[0]);
  if (write(1, copy, strlen(copy)) < 0) abort();
  printf("%zu %d\n", by_pointer(copy), picked(argc));
  free(copy);
  return 0;
}
