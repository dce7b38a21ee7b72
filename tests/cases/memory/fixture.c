// A program whose memory a probe reads: prints what the probe should find, and calls visit() when it is told to.
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "types.h"

static long long numbers[256];

__attribute__((noinline)) int visit(struct mine *m, int i)
{
	__asm__ volatile("" : "+r"(m), "+r"(i) : : "memory");
#define PUT(number, value) numbers[number] = (value)
#include "expressions.h"
	return m->x;
}

int main(int argc, char **argv)
{
	struct inner far[2] = {{41, "far-one"}, {42, "far-two"}};
	struct mine third = {.x = 333};
	struct mine second = {.x = 222, .s = 3, .u = 9, .in = {7, "second"}, .ip = &far[1], .next = &third, .anb = 5};
	struct mine first = {
		.x = 111, .s = -2, .u = 21, .w = 0xabcdef0123, .in = {17, "first"}, .ip = &far[0], .next = &second,
		.ui = 0x01020304, .anb = -5, .arr = {1, 20, 300, 4000}, .ins = {{51, "ins-one"}, {52, "ins-two"}},
		.ips = {&far[0], &far[1]}, .str = "a string", .yes = 1, .color = GREEN,
		.packed = {'c', -123456789012345},
	};
	struct sched_param parameter = {0};
	char line[64], name[64] = "";
	FILE *file;

	if (sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &parameter))
		return 1;
	puts("ready");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 1;
	visit(&first, 1);

	// What the kernel knows of this process: the numbers of kernel.c.
	file = fopen("/proc/self/comm", "r");
	if (!file || !fgets(name, sizeof(name), file))
		return 1;
	fclose(file);
	numbers[100] = getppid();
	numbers[101] = getpid();
	numbers[102] = name[0] + (name[3] << 8);
	numbers[103] = getuid();
	numbers[104] = 1;
	numbers[105] = argv[0][0] + (argv[0][1] << 8);
	numbers[106] = strlen(strrchr(argv[0], '/') + 1);
	numbers[107] = strrchr(argv[0], '/')[1];
	numbers[108] = '/' + ('d' << 8) + ('b' << 16);
	close(open("/dbcc-does-not-exist", O_RDONLY));

	for (int number = 0; number < 256; number++)
		if (numbers[number])
			printf("%d %lld\n", number, numbers[number]);
	puts("done");
	fflush(stdout);
	return fgets(line, sizeof(line), stdin) ? 0 : argc;
}
