// Names that C++20 adds, and those that demanglers stumble over. Compiled to an object by tests/names_oracle.rs.

#include <compare>
#include <concepts>
#include <coroutine>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#define KEEP __attribute__((noinline, used))

namespace outer::inline v1 {
namespace {
struct Hidden { KEEP int method(int a) { return a; } };
KEEP int hidden(Hidden *h) { return h->method(2); }
}
KEEP int call_hidden() { Hidden h; return hidden(&h); }

enum class Color { red, green };
enum Plain { one, two };
union Both { int i; float f; };

struct Point {
  int x, y;
  KEEP std::strong_ordering operator<=>(const Point &other) const { return x <=> other.x; }
  KEEP bool operator==(const Point &other) const { return x == other.x; }
  KEEP Point &operator++() { return *this; }
  KEEP Point operator++(int) { return *this; }
  KEEP Point operator-() const { return *this; }
  KEEP Point &operator+=(int) { return *this; }
  KEEP Point &operator<<=(int) { return *this; }
  KEEP bool operator!() const { return !x; }
  KEEP Point *operator&() { return this; }
  KEEP int operator[](int i) { return i; }
  KEEP int operator()(int i, ...) { return i; }
  KEEP int operator,(int i) { return i; }
  KEEP int operator->*(int Point::*m) { return this->x; }
  KEEP operator bool() const { return x; }
  KEEP operator std::vector<int>() const { return {}; }
  KEEP operator int Point::*() const { return &Point::x; }
  template <class T> KEEP operator T *() const { return nullptr; }
  KEEP void *operator new(size_t n) { return ::operator new(n); }
  KEEP void *operator new[](size_t n) { return ::operator new[](n); }
  KEEP void operator delete(void *p) { ::operator delete(p); }
  KEEP void operator delete[](void *p) { ::operator delete[](p); }
  KEEP void lvalue() & {}
  KEEP void rvalue() && {}
  KEEP void both() const volatile & {}
};
template Point::operator char *() const;
KEEP Point operator+(Point a, Point) { return a; }
KEEP unsigned long long operator""_km(long double d) { return d; }
KEEP const char *operator""_text(const char *s, size_t) { return s; }

KEEP __attribute__((abi_tag("tagged", "twice"))) int tags(int a) { return a; }

template <class T, unsigned N = 4, class A = std::allocator<T>> struct Box {
  T items[N];
  KEEP Box() : items{} {}
  KEEP explicit Box(std::initializer_list<T>) : items{} {}
  KEEP ~Box() noexcept {}
  KEEP void push(const T &item) { items[0] = item; }
  template <class U> KEEP auto convert(U u) -> decltype(u + N) { return u + N; }
  struct Inner { KEEP T get(Box *b) { return b->items[0]; } };
};
template struct Box<int>;
template struct Box<char, 7>;
template auto Box<int>::convert(long) -> decltype(long() + 4u);

template <class... Ts> KEEP int variadic(Ts &&...ts) { return sizeof...(ts); }
template int variadic();
template int variadic(int &&, char &, const long &, std::string &&);
template <class... Ts> KEEP std::tuple<Ts...> pack(Ts... ts) { return {ts...}; }
template std::tuple<int, std::tuple<char>> pack(int, std::tuple<char>);
template <int... Ns> KEEP int values() { return (Ns + ... + 0); }
template int values<1, -2, 3>();
template <class... As> struct Two {
  template <class... Bs> static KEEP void zip(std::pair<As, Bs>...) {}
};
KEEP void use_zip() { Two<int, char>::zip<long, bool>({}, {}); }
template <auto V> KEEP int value() { return 0; }
template int value<'c'>();
template int value<true>();
template int value<-5L>();
template int value<Color::green>();
template int value<two>();
template int value<nullptr>();
template int value<&Point::x>();
template int value<&Point::lvalue>();
template int value<&call_hidden>();
template int value<18446744073709551615ull>();
struct Fixed { int a; Color c; bool operator==(const Fixed &) const = default; };
template int value<Fixed{1, Color::green}>();
template <template <class...> class C> KEEP int wrapped(C<int> *) { return 1; }
template int wrapped<std::vector>(std::vector<int> *);

template <class T> concept Small = sizeof(T) < 4;
template <Small T> KEEP T constrained(T t) { return t; }
template char constrained(char);
template <class T> requires std::integral<T> && (sizeof(T) > 2) KEEP T needs(T t) { return t; }
template int needs(int);
template <class T> KEEP T trailing(T t) requires requires { t + 1; } { return t; }
template int trailing(int);
KEEP int brief(Small auto a, const auto &b) { return sizeof(a) + sizeof(b); }
template int brief(char, const long &);

template <class T> KEEP auto subtract(T a, T b) -> decltype(static_cast<long>(a) - (b ? -b : +b)) { return a - b; }
template auto subtract(int, int) -> decltype(static_cast<long>(0) - 0);
template <class F, class... A> KEEP auto invoke(F f, A... a) -> decltype(f(a...)) { return f(a...); }
template <class T> KEEP auto member(T *t) -> decltype(t->x) { return t->x; }
template auto member(Point *) -> decltype(((Point *)0)->x);
template <class T> KEEP typename std::enable_if<(sizeof(T) > 1), T>::type enabled(T t) { return t; }
template int enabled(int);
template <class T> KEEP auto sized(T) -> char (&)[sizeof(T)];
template <class T> auto sized(T) -> char (&)[sizeof(T)] { static char c[sizeof(T)]; return c; }
template auto sized(int) -> char (&)[4];

KEEP void pointers(int (*)(char, ...), int (&)[3], int (*(*)(int))[2], int Point::*, int (Point::*)(int) const &, void (**)(void (*)())) {}
KEEP void noexcepts(void (*)() noexcept, int (Point::*)() noexcept) {}
KEEP int (*returns_function(int))(char) { return nullptr; }
template <class T> KEEP int (*returns_function_of(T))(T, char) { return nullptr; }
template int (*returns_function_of(long))(long, char);
KEEP void types(char8_t, char16_t, char32_t, wchar_t, __int128, unsigned __int128, long double, decltype(nullptr), bool, signed char) {}
KEEP void vectors(float __attribute__((vector_size(16)))) {}
KEEP void complexes(_Complex double) {}
KEEP void texts(std::string, const std::string &, std::vector<std::string> *, std::map<std::string, std::vector<int>>) {}
KEEP void functions(std::function<void(int, std::string)>, std::unique_ptr<Point>) {}
KEEP void everything(Color, Plain, Both, const volatile int *, int *const *, int &&, const char *const (&)[2]) {}

KEEP int lambdas(int a) {
  auto plain = [](int b) KEEP { return b * 2; };
  auto generic = [](auto b, const auto &c) KEEP { return sizeof(b) + sizeof(c); };
  auto declared = []<class T, int N>(T (&b)[N]) KEEP { return N; };
  auto nested = [&](int b) KEEP { auto inner = [=](char c) KEEP { return a + b + c; }; return inner('c'); };
  auto packed = [](auto... b) KEEP { return sizeof...(b); };
  int array[3];
  struct Local { KEEP int method(int c) { struct Deep { KEEP int more() { return 4; } }; return Deep().more() + c; } };
  struct { KEEP int unnamed() { return 5; } } unnamed;
  static int counter = lambdas(1);
  return plain(a) + generic(a, 'c') + declared(array) + nested(a) + packed(1, 'c') + Local().method(a) + unnamed.unnamed() + counter;
}
template <class T> KEEP int local_of_template(T t) {
  auto lambda = [](auto a, T b) KEEP { return sizeof(a) + sizeof(b); };
  struct Local { KEEP T method(T t) { return t; } };
  return lambda(2L, t) + Local().method(t);
}
template int local_of_template(int);
KEEP int passes_lambda() { return invoke([](int a) { return a; }, 3) + variadic([] {}, [](auto) {}); }
struct WithDefault { KEEP int take(int (*f)(int) = [](int a) { return a; }) { return f(1); } };
KEEP int default_arg() { return WithDefault().take(); }
inline auto global_lambda = [](int a) KEEP { return a; };
KEEP int use_global() { return global_lambda(1); }

struct Base { virtual ~Base(); virtual Base *clone(); int b; };
struct Other { virtual ~Other(); virtual void other(); int o; };
struct Virtual : virtual Base { ~Virtual(); Virtual *clone() override; };
struct Derived : Other, Virtual { ~Derived(); Derived *clone() override; void other() override; };
Base::~Base() {}
Base *Base::clone() { return nullptr; }
Other::~Other() {}
void Other::other() {}
Virtual::~Virtual() {}
Virtual *Virtual::clone() { return nullptr; }
Derived::~Derived() {}
Derived *Derived::clone() { return nullptr; }
void Derived::other() {}
struct Inherits : Base { KEEP explicit Inherits(int) {} };
struct Inheriting : Inherits { using Inherits::Inherits; };
KEEP void inherits() { Inheriting i(3); }
thread_local std::string per_thread("x");
KEEP std::string &use_thread() { return per_thread; }
const int &reference = 3;
KEEP const int &use_reference() { return reference; }
struct Awaited {
  KEEP bool await_ready() { return true; }
  KEEP void await_suspend(std::coroutine_handle<>) {}
  KEEP void await_resume() {}
  KEEP Awaited operator co_await() { return *this; }
};
template <class T> struct Friendly {
  friend KEEP bool operator<(const Friendly &, const Friendly &) { return true; }
  friend KEEP void befriended(Friendly, T) {}
};
KEEP bool friends() { befriended(Friendly<int>(), 1); return Friendly<int>() < Friendly<int>(); }
}  // namespace outer::inline v1

extern "C" KEEP int plain_c(int a) { return a; }
extern "C" KEEP int _Register(int a) { return a; }
