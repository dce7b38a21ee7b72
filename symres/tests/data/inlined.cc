// Functions that compilers inline in every way: several times, into each other, with blocks, as templates, methods, lambdas,
// with a body beside the copies, from two units under one name, recursively. Compiled by tests/inlined.rs and ci/fuzz-symres, with
// inlined_other.cc, by many compilers and flags: it needs no library.
#include "inlined.h"

int volatile sink;

// Of the same name in inlined_other.cc.
static INLINE int check_connection(int user) {
  int const bounded = clamp(user, 3, 30);
  sink = bounded;
  return bounded + sink;
}

static INLINE int leaf(int a) {
  USE(a);
  sink = a;
  return sink + a;
}

static INLINE int middle(int a) {
  int sum = 0;
  {
    int const inner = leaf(a + 1);
    if (inner > 4) {
      int const second = leaf(a + 2);
      sum += second;
    }
    sum += inner;
  }
  return sum;
}

static INLINE int top(int a) { return middle(a) + middle(a * 2) + leaf(a); }

// The compiler may inline some levels of it into itself.
static int countdown(int n) {
  sink = n;
  return n <= 0 ? leaf(n) : countdown(n - 1) + n;
}

// Inlined, but its address is taken: there is a body too.
static inline int both_ways(int a) { return clamp(a, 0, sink) + leaf(a); }
int (*volatile pointer)(int) = both_ways;

// Split by -O2 into a hot and a cold part.
__attribute__((cold, noinline)) void unlikely(int a) { sink = a; }
NOINLINE int partly(int a) {
  if (__builtin_expect(a == 77, 0)) {
    unlikely(a);
    unlikely(a + 1);
    return middle(a);
  }
  return a + sink;
}

NOINLINE int login_connection(int user) {
  int const result = check_connection(user);
  if (result > sink) return check_connection(user + 1);
  return result;
}

NOINLINE int with_lambda(int a) {
  auto const first = [](int x) __attribute__((always_inline)) { return leaf(x) * 3; };
  auto const second = [a](int x) { return clamp(x, a, sink) + 5; };
  return first(a) + second(a + 1);
}

NOINLINE int many(int a) {
  int sum = top(a);
  for (int i = 0; i < sink; i++) {
    sum += outer::mix<int, 3>(i);
    sum += static_cast<int>(outer::mix<long, 5>(i));
    sum += outer::hidden(sum);
  }
  outer::Shape const shape(a);
  return sum + shape.grown(2) + shape.area() + shape.weight() + both_ways(sum);
}

// The same code twice: ICF makes one body of two functions.
NOINLINE int merge_one(int a) { return a * 1234567 + sink; }
NOINLINE int merge_two(int a) { return a * 1234567 + sink; }

extern "C" NOINLINE int plain_c(int a, char const *text) { return text[leaf(a)] + countdown(a); }

int main(int argc, char **argv) {
  sink = argc;
  return many(argc) + login_connection(argc) + with_lambda(argc) + partly(argc) + plain_c(argc, argv[0]) + pointer(argc) +
         merge_one(argc) + merge_two(argc) + other_entry(argc);
}
