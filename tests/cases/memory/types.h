// The structs of the traced program, which the probe mirrors by including this file.
#pragma once

struct inner {
	int a;
	char tag[8];
};

struct mine {
	int x;
	signed int s : 3;
	unsigned int u : 5;
	unsigned long long w : 40;
	struct inner in;
	struct inner *ip;
	struct mine *next;
	union {
		int ui;
		unsigned char uc[4];
	};
	struct {
		int an;
		signed int anb : 4;
	};
	int arr[4];
	struct inner ins[2];
	struct inner *ips[2];
	const char *str;
	double unused;
	_Bool yes : 1;
	enum { RED = 3, GREEN = 5 } color;
	struct __attribute__((packed)) {
		char c;
		long long unaligned;
	} packed;
};
