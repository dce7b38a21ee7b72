// For each line that says a number, calls `probed` as many times and says how many nanoseconds a call took.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

volatile long total;

__attribute__((noipa)) static void below(long a)
{
    total += a;
}

// `endbr64`, then the `push` of a register that is kept over the calls.
__attribute__((noipa)) long probed(long a, long b)
{
    below(a);
    below(b);
    return a + b;
}

int main(void)
{
    char line[64];

    printf("ready\n");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin)) {
        struct timespec start, end;
        long count = atol(line);

        clock_gettime(CLOCK_MONOTONIC, &start);
        for (long i = 0; i < count; i++)
            probed(i, 2 * i);
        clock_gettime(CLOCK_MONOTONIC, &end);
        printf("took %.1f\n",
               ((double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec)) / (double)count);
        fflush(stdout);
    }
    return 0;
}
