// load: threads that call functions at a steady pace, and say at the end how often each was called.
//
//     load CALLS_PER_SECOND THREADS
//
// It begins at the first line that it reads and ends at the second. The pace is that of work; the others, whose probes
// cost more, are called once for 16 calls of it, and rare once for 64. So are the two sites of the USDT probe load:passed,
// whose argument is 1 at one of them and 2 at the other.

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "usdt.h"

#define CALLED __attribute__((noinline, noipa))

CALLED int work(int x)
{
	return x + 1;
}

CALLED int paired(int x)
{
	return x + 5;
}

CALLED int many_first(int x)
{
	return x + 2;
}

CALLED int many_second(int x)
{
	return x + 3;
}

CALLED int rare(int x)
{
	return x + 4;
}

CALLED void pass(int x)
{
	volatile int two = 2;

	USDT("load", "passed", "-4@%0 -4@%1", "i"(1), "r"(x));
	USDT("load", "passed", "-4@%0 -4@%1", "m"(two), "r"(x));
}

static int null_device;
static atomic_int done;
static atomic_long calls, others, rares;
static long per_second;

static int64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ll + time.tv_nsec;
}

// Calls work 64 times, and the others as often as is due.
static void round_of_calls(void)
{
	volatile int sum = 0;

	for (int call = 0; call < 64; call++) {
		sum += work(sum);
		if (call % 16)
			continue;
		sum += paired(sum);
		sum += many_first(sum);
		sum += many_second(sum);
		pass(sum);
		syscall(SYS_getppid);
		lseek(null_device, 0, SEEK_SET);
	}
	sum += rare(sum);
}

static void *run(void *unused)
{
	int64_t start = now();
	long rounds = 0;

	while (!atomic_load(&done)) {
		// What is behind the pace is not caught up with.
		int64_t due = start + rounds * 64 * 1000000000ll / per_second, behind = now() - due;
		if (behind < 0) {
			struct timespec pause = { 0, -behind < 1000000 ? -behind : 1000000 };
			nanosleep(&pause, NULL);
			continue;
		}
		if (behind > 100000000)
			start += behind;
		round_of_calls();
		rounds++;
	}
	atomic_fetch_add(&calls, rounds * 64);
	atomic_fetch_add(&others, rounds * 4);
	atomic_fetch_add(&rares, rounds);
	return unused;
}

int main(int count, char **words)
{
	pthread_t thread[64];
	int threads = count > 2 ? atoi(words[2]) : 1;
	char line[16];
	int64_t start;

	if (count < 3 || threads < 1 || threads > 64 || (per_second = atol(words[1]) / threads) < 1)
		return 2;
	null_device = open("/dev/null", O_RDONLY);
	if (null_device < 0)
		return 2;
	puts("ready");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 1;
	start = now();
	for (int i = 0; i < threads; i++)
		pthread_create(&thread[i], NULL, run, NULL);
	if (!fgets(line, sizeof(line), stdin))
		return 1;
	atomic_store(&done, 1);
	for (int i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	printf("calls %ld others %ld rares %ld milliseconds %lld\n", (long)calls, (long)others, (long)rares,
	       (long long)(now() - start) / 1000000);
	fflush(stdout);
	// The process stays until dbcc has ended, so that its end is none of the things under test.
	return fgets(line, sizeof(line), stdin) ? 0 : 1;
}
