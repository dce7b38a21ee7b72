// Functions with parameters of many kinds. What a function `f` gets as its parameter `x` is in the global variable `f_x`
// all the time: a debugger compares it with what it finds where `x` is said to be.

#ifdef __cplusplus
#define C extern "C"
#include <cstddef>
#else
#define C
#include <stddef.h>
typedef _Bool bool;
#endif

#define NOINLINE __attribute__((noinline, noclone))
#define INLINE __attribute__((always_inline)) inline

// The compiler does not know what is in such a variable.
#define GIVEN(TYPE, NAME, ...) \
    C TYPE volatile NAME;      \
    TYPE volatile NAME = __VA_ARGS__

// Objects are copied from them, for which they cannot be volatile.
#define OBJECT(TYPE, NAME, ...) \
    C TYPE NAME;                \
    TYPE NAME __VA_ARGS__

static int volatile sink_int;
static void touch(void const *p) { __asm__ volatile("" : : "r"(p) : "memory"); }
#define USE(X) touch((void const *)&(X))
// What is called is not left out, whether or not its result matters.
#define CALL(X)                      \
    do {                             \
        __typeof__(X) result = (X);  \
        USE(result);                 \
    } while (0)

GIVEN(char, ints_a, 'x');
GIVEN(signed char, ints_b, -3);
GIVEN(unsigned char, ints_c, 200);
GIVEN(short, ints_d, -1234);
GIVEN(unsigned short, ints_e, 54321);
GIVEN(int, ints_f, -123456);
GIVEN(unsigned, ints_g, 3456789012u);
GIVEN(long, ints_h, -1234567890123);
GIVEN(unsigned long, ints_i, 0xfedcba9876543210);
GIVEN(bool, ints_j, 1);
#define INTS ints_a, ints_b, ints_c, ints_d, ints_e, ints_f, ints_g, ints_h, ints_i, ints_j
#define INTS_TYPES                                                                                                    \
    char a, signed char b, unsigned char c, short d, unsigned short e, int f, unsigned g, long h, unsigned long i, bool j
NOINLINE void ints(INTS_TYPES) {
    sink_int = a + b + c + d + e + f + (int)g + (int)h + (int)i + j;
    USE(a);
    USE(j);
}

GIVEN(long, used_once_a, 5);
GIVEN(long, used_once_b, 6);
NOINLINE long used_once(long a, long b) {
    for (int i = 0; i < 3; i++) sink_int = (int)(a + i);
    return a ^ b;
}

GIVEN(float, floats_a, 1.5f);
GIVEN(double, floats_b, -2.25);
GIVEN(long double, floats_c, 3.75L);
GIVEN(float, floats_d, 4.5f);
GIVEN(double, floats_e, 5.5);
GIVEN(float, floats_f, 6.5f);
GIVEN(double, floats_g, 7.5);
GIVEN(float, floats_h, 8.5f);
GIVEN(double, floats_i, 9.5);
GIVEN(float, floats_j, 10.5f);
GIVEN(double, floats_k, 11.5);
NOINLINE double floats(float a, double b, long double c, float d, double e, float f, double g, float h, double i, float j,
                       double k) {
    return a + b + (double)c + d + e + f + g + h + i + j + k;
}

GIVEN(int, mixed_a, 11);
GIVEN(double, mixed_b, 0.125);
GIVEN(long, mixed_c, 12);
GIVEN(float, mixed_d, 0.25f);
GIVEN(void *, mixed_e, &mixed_a ? (void *)0x1234 : 0);
NOINLINE double mixed(int a, double b, long c, float d, void *e) {
    USE(e);
    return a * b + c * d;
}

struct One { char c; };
struct Four { int i; };
struct Eight { int i, j; };
struct Twelve { int i, j, k; };
struct Sixteen { long i, j; };
struct TwoFloats { float x, y; };
struct ThreeFloats { float x, y, z; };
struct DoubleLong { double d; long l; };
struct LongDouble { long l; double d; };
struct Bytes { char bytes[16]; };
struct Bits { unsigned a : 5, b : 12, c : 15; };
struct Large { long i, j, k; };
struct Extended { long double x; };
union Either { double d; long l; };
struct Nested { struct Four four; union { int i; float f; } u; struct TwoFloats floats; };
OBJECT(struct One, small_a, = {'o'});
OBJECT(struct Four, small_b, = {4});
OBJECT(struct Eight, small_c, = {8, -8});
OBJECT(struct Twelve, small_d, = {1, 2, 3});
OBJECT(struct TwoFloats, small_e, = {1.5f, 2.5f});
OBJECT(struct ThreeFloats, small_f, = {1.25f, 2.25f, 3.25f});
NOINLINE int small(struct One a, struct Four b, struct Eight c, struct Twelve d, struct TwoFloats e, struct ThreeFloats f) {
    USE(a); USE(b); USE(c); USE(d); USE(e); USE(f);
    return b.i + c.j;
}
OBJECT(struct Sixteen, pairs_a, = {16, -16});
OBJECT(struct DoubleLong, pairs_b, = {0.5, 55});
OBJECT(struct LongDouble, pairs_c, = {66, 0.75});
OBJECT(struct Bytes, pairs_d, = {"fifteen bytes.."});
OBJECT(struct Bits, pairs_e, = {17, 1234, 4321});
OBJECT(union Either, pairs_f, = {2.125});
OBJECT(struct Nested, pairs_g, = {{5}, {6}, {7.5f, 8.5f}});
NOINLINE long pairs(struct Sixteen a, struct DoubleLong b, struct LongDouble c, struct Bytes d, struct Bits e, union Either f,
                    struct Nested g) {
    USE(a); USE(b); USE(c); USE(d); USE(e); USE(f); USE(g);
    return a.i + b.l + c.l;
}
OBJECT(struct Large, large_a, = {1, 2, 3});
GIVEN(int, large_b, 77);
OBJECT(struct Extended, large_c, = {1.5L});
OBJECT(struct Sixteen, large_d, = {5, 6});
NOINLINE long large(struct Large a, int b, struct Extended c, struct Sixteen d) {
    USE(a); USE(c); USE(d);
    return a.j + b;
}

// Six words of integers; the fifth and sixth do not take the pair that follows, but the last register is still used.
GIVEN(long, spill_a, 1);
OBJECT(struct Sixteen, spill_b, = {2, 3});
OBJECT(struct Sixteen, spill_c, = {4, 5});
OBJECT(struct Sixteen, spill_d, = {6, 7});
GIVEN(int, spill_e, 8);
GIVEN(int, spill_f, 9);
NOINLINE long spill(long a, struct Sixteen b, struct Sixteen c, struct Sixteen d, int e, int f) {
    USE(d);
    return a + b.i + c.j + e + f;
}

typedef float Vector __attribute__((vector_size(16)));
OBJECT(Vector, vectors_a, = {1, 2, 3, 4});
GIVEN(__int128, vectors_b, ((__int128)-5 << 64) + 6);
GIVEN(int, vectors_c, 7);
NOINLINE int vectors(Vector a, __int128 b, int c) {
    USE(a); USE(b);
    return c;
}

enum Colour { RED, GREEN, BLUE };
GIVEN(enum Colour, pointers_a, GREEN);
GIVEN(char const *, pointers_b, "text");
GIVEN(struct Large *, pointers_c, &large_a);
GIVEN(size_t, pointers_d, 123456789);
NOINLINE size_t pointers(enum Colour a, char const *b, struct Large *c, size_t d) {
    sink_int = a;
    return (size_t)b[0] + (size_t)c->i + d;
}

GIVEN(int, returns_a, 31);
GIVEN(long, returns_b, 32);
NOINLINE struct Large returns(int a, long b) {
    struct Large large = {a, b, a + b};
    return large;
}

OBJECT(struct Large, returns_return, = {31, 32, 63});

// What `f` returns is in `f_return`.
OBJECT(long, used_once_return, = 3);
OBJECT(double, floats_return, = 67);
OBJECT(int, vectors_return, = 7);
GIVEN(int, gives_pair_a, 33);
OBJECT(struct Sixteen, gives_pair_return, = {33, -33});
NOINLINE struct Sixteen gives_pair(int a) { return (struct Sixteen){a, -(long)a}; }
GIVEN(int, gives_mixed_a, 34);
OBJECT(struct DoubleLong, gives_mixed_return, = {17, 34});
NOINLINE struct DoubleLong gives_mixed(int a) { return (struct DoubleLong){a * 0.5, a}; }
GIVEN(float, gives_floats_a, 3.5f);
OBJECT(struct ThreeFloats, gives_floats_return, = {3.5f, 7, 10.5f});
NOINLINE struct ThreeFloats gives_floats(float a) { return (struct ThreeFloats){a, a * 2, a * 3}; }
GIVEN(int, gives_extended_a, 35);
OBJECT(long double, gives_extended_return, = 17.5L);
NOINLINE long double gives_extended(int a) { return a / 2.0L; }

GIVEN(int, variadic_count, 2);
NOINLINE int variadic(int count, ...) {
    __builtin_va_list list;
    __builtin_va_start(list, count);
    int sum = 0;
    for (int i = 0; i < count; i++) sum += __builtin_va_arg(list, int);
    __builtin_va_end(list);
    return sum;
}

GIVEN(int, unused_a, 41);
GIVEN(int, unused_b, 42);
static NOINLINE int unused(int a, int b) {
    sink_int = b;
    return b + 1;
}

// Often cloned for the constant, or for the part of the object that is used.
GIVEN(int, cloned_b, 52);
C int cloned_a;
int cloned_a = 51;
GIVEN(struct Large *, cloned_c, &large_a);
static __attribute__((noinline)) int cloned(int a, int b, struct Large *c) {
    for (int i = 0; i < a; i++) sink_int = b + i;
    return (int)c->k + a;
}

GIVEN(int, inlined_a, 61);
GIVEN(char const *, inlined_b, "inlined");
C int inlined_c;
int inlined_c = 63;
OBJECT(struct Sixteen, inlined_d, = {64, 65});
GIVEN(double, inlined_e, 6.5);
static INLINE long inlined(int a, char const *b, int c, struct Sixteen d, double e) {
    for (int i = 0; i < c; i++) sink_int = a + b[i & 3];
    USE(e);
    return d.i + d.j + sink_int;
}
NOINLINE long calls_inlined(void) { return inlined(inlined_a, inlined_b, 63, inlined_d, inlined_e); }
NOINLINE long calls_inlined_twice(long n) {
    long sum = n;
    for (long i = 0; i < 2; i++) sum += inlined(inlined_a, inlined_b, 63, inlined_d, inlined_e);
    return sum;
}
// Its arguments are the caller's own.
GIVEN(long, passed_on_a, 71);
GIVEN(struct Large *, passed_on_b, &large_a);
static INLINE long passed_on(long a, struct Large *b) {
    sink_int = (int)a;
    return a + b->i;
}
NOINLINE long passes_on(long a, struct Large *b) { return passed_on(a, b) + 1; }

#ifdef __cplusplus

struct Owner {
    long a, b;
    Owner(long a, long b) : a(a), b(b) {}
    Owner(Owner const &other) : a(other.a), b(other.b) { touch(this); }
    ~Owner() { touch(this); }
};
OBJECT(Owner, owners_a, (81, 82));
GIVEN(int, owners_b, 83);
struct Holds { Owner owner; };
OBJECT(Holds, owners_c, {Owner(84, 85)});
NOINLINE long owners(Owner a, int b, Holds c) {
    touch(&a);
    return a.a + b + c.owner.b;
}
OBJECT(Owner, owners_on_stack_g, (86, 87));
GIVEN(int, owners_on_stack_a, 1);
NOINLINE long owners_on_stack(int a, int b, int c, int d, int e, int f, Owner g) {
    touch(&g);
    return a + b + c + d + e + f + g.a;
}
GIVEN(int, gives_owner_a, 88);
OBJECT(Owner, gives_owner_return, (88, 88));
NOINLINE Owner gives_owner(int a) { return Owner(a, a); }

struct Empty {};
GIVEN(int, empties_b, 91);
NOINLINE int empties(Empty, int b, Empty, Empty) { return b * 2; }

// Copies without effect, though it has constructors.
struct Plain {
    long x, y;
    Plain(long x) : x(x), y(x) {}
    Plain(Plain const &) = default;
    ~Plain() = default;
};
OBJECT(Plain, plains_a, (92));
NOINLINE long plains(Plain a) {
    touch(&a);
    return a.x;
}

struct Object {
    long value = 100;
    NOINLINE long method(int x, Large const &y) { return value + x + y.i; }
    NOINLINE virtual long over(int x) { return value - x; }
    static NOINLINE long none(int x) { return x; }
    NOINLINE Large large(int x) const { return {value, x, x}; }
    INLINE long quick(int x) { return value * x + sink_int; }
    long target(int) const { return 1; }
};
Object the_object;
C Object *volatile method_this;
Object *volatile method_this = &the_object;
GIVEN(int, method_x, 101);
C Large *volatile method_y;
Large *volatile method_y = &large_a;
C Object *volatile over_this;
Object *volatile over_this = &the_object;
GIVEN(int, over_x, 102);
GIVEN(int, none_x, 103);
C Object *volatile quick_this;
Object *volatile quick_this = &the_object;
GIVEN(int, quick_x, 105);

using Function = long (*)(int);
using Member = long Object::*;
using Method = long (Object::*)(int) const;
GIVEN(Function, callables_a, &Object::none);
GIVEN(Member, callables_b, &Object::value);
OBJECT(Method, callables_c, = &Object::target);
C int callables_target;
int callables_target = 9;
C int *volatile callables_d;
int *volatile callables_d = &callables_target;
C int *volatile callables_e;
int *volatile callables_e = &callables_target;
NOINLINE long callables(Function a, Member b, Method c, int &d, int &&e, decltype(nullptr)) {
    return a(1) + the_object.*b + (the_object.*c)(2) + d + e;
}

struct Base { long base = 1; };
struct Middle : virtual Base {
    long kept;
    NOINLINE Middle(int x, long y) : kept(x + y) { touch(this); }
};
struct Derived : Middle {
    NOINLINE Derived(int x, long y) : Middle(x, y) { touch(this); }
};
GIVEN(int, Middle_x, 111);
GIVEN(long, Middle_y, 112);

template <class... T> NOINLINE long pack(T... rest) { return (0 + ... + (long)rest); }

GIVEN(int, lambda_x, 121);

static void cpp() {
    CALL(owners(owners_a, owners_b, owners_c));
    CALL(owners_on_stack(owners_on_stack_a, 2, 3, 4, 5, 6, owners_on_stack_g));
    CALL(gives_owner(gives_owner_a));
    CALL(empties(Empty(), empties_b, Empty(), Empty()));
    CALL(plains(plains_a));
    CALL(method_this->method(method_x, *method_y));
    CALL(over_this->over(over_x));
    CALL(Object::none(none_x));
    CALL(the_object.large(104));
    CALL(quick_this->quick(quick_x));
    CALL(callables(callables_a, callables_b, callables_c, *callables_d, static_cast<int &&>(*callables_e), nullptr));
    Middle middle(Middle_x, Middle_y);
    Derived derived(Middle_x, Middle_y);
    CALL(pack(1, 2L, 'c'));
    auto lambda = [](int x) __attribute__((noinline)) { sink_int = x; return x; };
    CALL(lambda(lambda_x));
}

#else

GIVEN(_Complex double, complexes_b, 1.5 + 2.5j);
GIVEN(_Complex float, complexes_a, 3.5f + 4.5fj);
GIVEN(_Complex long double, complexes_c, 5.5L + 6.5Lj);
GIVEN(int, complexes_d, 131);
NOINLINE int complexes(_Complex float a, _Complex double b, _Complex long double c, int d) {
    USE(a); USE(b); USE(c);
    return d;
}

GIVEN(int, old_style_b, 141);
GIVEN(short, old_style_c, 142);
NOINLINE int old_style(a, b, c) float a; int b; short c; {
    USE(a);
    return b + c;
}

struct Packed { char c; long l; } __attribute__((packed));
OBJECT(struct Packed, packeds_a, = {'p', 151});
GIVEN(int, packeds_b, 152);
NOINLINE int packeds(struct Packed a, int b) {
    USE(a);
    return b;
}

static void only_c(void) {
    CALL(complexes(complexes_a, complexes_b, complexes_c, complexes_d));
    CALL(old_style(1.0f, old_style_b, old_style_c));
    CALL(packeds(packeds_a, packeds_b));
}

#endif

int main(void) {
    ints(INTS);
    CALL(used_once(used_once_a, used_once_b));
    CALL(floats(floats_a, floats_b, floats_c, floats_d, floats_e, floats_f, floats_g, floats_h, floats_i, floats_j, floats_k));
    CALL(mixed(mixed_a, mixed_b, mixed_c, mixed_d, mixed_e));
    CALL(small(small_a, small_b, small_c, small_d, small_e, small_f));
    CALL(pairs(pairs_a, pairs_b, pairs_c, pairs_d, pairs_e, pairs_f, pairs_g));
    CALL(large(large_a, large_b, large_c, large_d));
    CALL(spill(spill_a, spill_b, spill_c, spill_d, spill_e, spill_f));
    CALL(vectors(vectors_a, vectors_b, vectors_c));
    CALL(pointers(pointers_a, pointers_b, pointers_c, pointers_d));
    CALL(returns(returns_a, returns_b));
    CALL(gives_pair(gives_pair_a));
    CALL(gives_mixed(gives_mixed_a));
    CALL(gives_floats(gives_floats_a));
    CALL(gives_extended(gives_extended_a));
    CALL(variadic(variadic_count, 3, 4));
    CALL(unused(unused_a, unused_b));
    CALL(cloned(51, cloned_b, cloned_c));
    CALL(calls_inlined());
    CALL(calls_inlined_twice(1));
    CALL(passes_on(passed_on_a, passed_on_b));
#ifdef __cplusplus
    cpp();
#else
    only_c();
#endif
    return 0;
}
