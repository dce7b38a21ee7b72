// Functions that two units share. See inlined.cc.
#define NOINLINE __attribute__((noinline))
#define INLINE __attribute__((always_inline)) inline
#define USE(x) asm volatile("" : : "r"(x) : "memory")

extern int volatile sink;

// Inlined at several places of both units; has a body in each as well where somebody takes its address.
static inline int clamp(int value, int low, int high) {
  if (value < low) return low;
  if (value > high) return high;
  return value;
}

namespace outer {
struct Shape {
  int width, height;
  explicit Shape(int w) : width(w), height(clamp(w, 1, 9)) { sink = w; }
  int area() const { return width * height; }
  INLINE int grown(int by) const {
    int const w = clamp(width + by, 0, 100);
    return w * height + deep::twice(by);
  }
  virtual int weight() const { return area() + 1; }
  struct deep {
    static INLINE int twice(int x) { return x + x + sink; }
  };
};

namespace {
INLINE int hidden(int x) {
  sink = x;
  return x * 17 + sink;
}
}  // namespace

inline namespace v2 {
template <class T, int N> INLINE T mix(T value) {
  {
    T step = value + N;
    sink = static_cast<int>(step);
    value ^= step;
  }
  return value + static_cast<T>(sink);
}
}  // namespace v2
}  // namespace outer

int other_entry(int a);
NOINLINE int merge_one(int a);
