// Names of a C++20 module. Compiled by tests/names_oracle.rs.
export module shapes.round;
export struct Circle { int r; __attribute__((noinline)) int area(); };
int Circle::area() { return r; }
export int radius(Circle c, Circle *d) { return c.r + d->r; }
int inside(int a) { return a; }
namespace ns { export int in_namespace(Circle &c) { return c.r; } }
