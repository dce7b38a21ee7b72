// A program with USDT probes whose arguments are in all sorts of places. For each line "N" that it reads it comes by each
// of its sites N times, and prints "done", and how often it found the guarded probe's semaphore up.
#include <stdio.h>
#include <stdlib.h>

#include "usdt.h"

USDT_SEMAPHORE(guarded_semaphore);

struct record {
	signed char s1;
	unsigned char u1;
	short s2;
	unsigned short u2;
	int s4;
	unsigned int u4;
	long s8;
	unsigned long u8;
};

#define VALUES "4@%0 -1@%1 1@%2 -2@%3 2@%4 -4@%5 4@%6 -8@%7 8@%8"

// The same values at four sites: in registers, in memory, as constants, in an element of an array.
__attribute__((noinline)) static void come_by(const struct record *records, unsigned long index)
{
	volatile struct record m = records[index];

	USDT("sites", "values", VALUES, "i"(1), "q"(m.s1), "q"(m.u1), "r"(m.s2), "r"(m.u2), "r"(m.s4), "r"(m.u4),
	     "r"(m.s8), "r"(m.u8));
	USDT("sites", "values", VALUES, "i"(2), "m"(m.s1), "m"(m.u1), "m"(m.s2), "m"(m.u2), "m"(m.s4), "m"(m.u4),
	     "m"(m.s8), "m"(m.u8));
	USDT("sites", "values", VALUES, "i"(3), "i"(-3), "i"(253), "i"(-300), "i"(65236), "i"(-70000),
	     "i"(4294897296), "i"(-5000000000), "i"(5000000000));
	USDT("sites", "values", VALUES, "i"(4), "m"(records[index].s1), "m"(records[index].u1), "m"(records[index].s2),
	     "m"(records[index].u2), "m"(records[index].s4), "m"(records[index].u4), "m"(records[index].s8),
	     "m"(records[index].u8));
}

__attribute__((noinline)) static void say(const char *text, const struct record *record)
{
	USDT("sites", "text", "8@%0 8@%1", "r"(text), "r"(record));
}

// The compiler addresses the number by base, index and scale.
__attribute__((noipa)) static int guarded(const long *numbers, long index)
{
	if (!*(volatile unsigned short *)&guarded_semaphore)
		return 0;
	USDT_WITH(guarded_semaphore, "sites", "guarded", "-8@%0", "m"(numbers[index]));
	return 1;
}

int main(void)
{
	struct record records[3] = {{0}};
	long numbers[4];
	char line[64];

	records[2] = (struct record){-3, 253, -300, 65236, -70000, 4294897296u, -5000000000, 5000000000u};
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		long count = atol(line), up = 0;

		for (long i = 0; i < count; i++) {
			come_by(records, 2);
			say("SELECT 1", &records[2]);
			numbers[i % 4] = i;
			up += guarded(numbers, i % 4);
		}
		printf("done %ld\n", up);
		fflush(stdout);
	}
	return 0;
}
