// The unit that defines what types.cc only declares.

struct Elsewhere {
    char padding[12];
    int found;
};

Elsewhere one;

Elsewhere *elsewhere() { return &one; }
