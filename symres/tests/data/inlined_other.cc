// The second unit of inlined.cc.
#include "inlined.h"

static INLINE int check_connection(int user) {
  sink = user + 40;
  return clamp(user, sink, 44);
}

struct Local {
  int x;
  INLINE int get() const { return x + sink; }
  NOINLINE int slow(int by) const { return get() * by + check_connection(by); }
};

static int (*volatile taken)(int, int, int) = clamp;

NOINLINE int other_entry(int a) {
  Local const local{a};
  int const sum = local.get() + local.slow(a) + outer::hidden(a) + outer::mix<int, 3>(a);
  return taken(sum, check_connection(a), 9) + outer::Shape(a).weight();
}
