// Classes whose places in memory the program itself tells: `NAME MEMBER OFFSET SIZE`, for `dbcc types` to be compared with.

#include <cstddef>
#include <cstdio>

struct Empty {};

class Plain {
public:
    char tag;
    long number;
    short small;
};

class Base {
public:
    virtual ~Base() {}
    long number;
    char last;
};

// Its first member lies in the padding of its base class.
class Derived : public Base, public Empty {
public:
    char in_padding;
    int count;
    static int shared;
};

int Derived::shared = 3;

struct VirtualBase {
    long common;
};

struct Left : virtual VirtualBase {
    int left;
};

struct Right : virtual VirtualBase {
    int right;
};

struct Diamond : Left, Right {
    int own;
};

template <typename T> struct Node {
    Node *next;
    T value;
};

struct Bits {
    unsigned first : 3;
    unsigned : 5;
    unsigned second : 7;
    unsigned long wide : 40;
    unsigned char byte;
};

namespace outer {
struct Holder {
    union {
        int number;
        struct {
            char low;
            char high;
        };
    };
    int (*compare)(const void *, const void *);
    int grid[3][4];
    struct Inner {
        char c;
        double d;
    } inner;
};
} // namespace outer

// Only declared where it is used first; see types_other.cc.
struct Elsewhere;

struct Points {
    int before;
    Elsewhere *there;
};

Elsewhere *elsewhere();

#define TELL(type, member)                                                                                             \
    std::printf("%s %s %zu %zu\n", #type, #member, offsetof(type, member), sizeof(((type *)nullptr)->member))
#define TELL_SIZE(type) std::printf("%s - 0 %zu\n", #type, sizeof(type))

int main() {
    TELL_SIZE(Plain);
    TELL(Plain, tag);
    TELL(Plain, number);
    TELL(Plain, small);
    TELL_SIZE(Derived);
    TELL(Derived, number);
    TELL(Derived, in_padding);
    TELL(Derived, count);
    TELL_SIZE(Diamond);
    TELL(Diamond, left);
    TELL(Diamond, right);
    TELL(Diamond, own);
    TELL_SIZE(Node<double>);
    TELL(Node<double>, value);
    TELL_SIZE(Bits);
    TELL(Bits, byte);
    TELL_SIZE(outer::Holder);
    TELL(outer::Holder, high);
    TELL(outer::Holder, compare);
    TELL(outer::Holder, grid[2][1]);
    TELL(outer::Holder, inner.d);
    TELL_SIZE(Points);
    TELL(Points, there);
    Diamond diamond{};
    Node<double> node{};
    Bits bits{};
    outer::Holder holder{};
    Points points{1, elsewhere()};
    Derived derived;
    Plain plain{};
    return plain.tag + diamond.own + node.value + bits.byte + holder.inner.c + (points.there != nullptr) + (derived.shared == 0) - 1;
}
