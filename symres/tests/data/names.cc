// Functions of every kind that a pattern may have to tell apart. Compiled by tests/compiled.rs.

struct THD { int x; int send(int); virtual ~THD(); virtual void run(); };
struct Base { int pad; virtual void notify(); virtual ~Base(); };
struct Both : THD, Base { void notify() override; void run() override; ~Both() override; };

#define KEEP __attribute__((noinline, used))

static KEEP int check_connection(THD *thd) { return thd->x * 3; }
KEEP int thd_check_connection_admin_privilege(THD *thd) { return check_connection(thd) + 1; }
KEEP int overloaded(int a) { return a + 1; }
KEEP int overloaded(const char *a, unsigned long b) { return a[b]; }

namespace ns {
KEEP int check_connection(THD *thd, bool now) { return thd->x + now; }
namespace {
KEEP int hidden(int a) { return a * 7; }
}
KEEP int call_hidden(int a) { return hidden(a); }
struct Point {
  int x;
  KEEP bool operator==(const Point &other) const { return x == other.x; }
  KEEP bool operator<(const Point &other) const { return x < other.x; }
  KEEP int operator()(int a) { return x + a; }
  KEEP operator bool() const { return x != 0; }
  KEEP Point *operator->() { return this; }
};
}  // namespace ns

template <class T> KEEP T twice(T a) { return a + a; }
template int twice<int>(int);
template long twice<long>(long);
template <class T, unsigned N> struct Box {
  T items[N];
  KEEP void push(const T &item) { items[0] = item; }
};
template struct Box<int, 4>;
template struct Box<char, 4>;

KEEP int with_lambda(int a) {
  auto inner = [](int b) __attribute__((noinline)) { asm volatile(""); return b * 5; };
  return inner(a);
}

int THD::send(int a) { return x + a; }
THD::~THD() { x = 0; }
void THD::run() { x = 1; }
void Base::notify() { pad = 1; }
Base::~Base() { pad = 0; }
void Both::notify() { pad = 2; }
void Both::run() { x = 2; }
Both::~Both() {}

// What the compiler makes of functions, under the names that it gives: which ones it makes changes with its version.
int work(int a) asm("_Z4worki");
int work_part(int a) asm("_Z4worki.part.0");
int work_cold(int a) asm("_Z4worki.cold");
int only_isra(int a) asm("_Z9only_israi.isra.0");
int only_part(int a) asm("_Z9only_parti.part.0");
KEEP int work(int a) { return a + 11; }
KEEP int work_part(int a) { return a + 12; }
KEEP int work_cold(int a) { return a + 13; }
KEEP int only_isra(int a) { return a + 14; }
KEEP int only_part(int a) { return a + 15; }

extern "C" {
KEEP int plain_c(int a) { return a + 21; }
KEEP int plain_c_v2(int a) { return a + 22; }
int same_as_plain_c(int a) __attribute__((alias("plain_c")));
typedef int chosen(int);
KEEP chosen *choose() { return plain_c; }
int picked(int a) __attribute__((ifunc("choose")));
int a_variable = 5;
int imported_function(const char *);
}

// Called a function, but in no segment that is executable.
asm(".pushsection .data\n.type not_code, @function\nnot_code: .byte 0\n.size not_code, 1\n.popsection");

#ifdef WITH_LIBC
extern "C" int puts(const char *);
int main() { return puts("x") == 0; }
#endif
