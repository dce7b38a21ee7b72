// For each line with a number of calls and how many a second (0: as many as can be), calls `probed` that often and says how
// many seconds that took.
#include <stdio.h>
#include <time.h>

volatile long total;

__attribute__((noipa)) long probed(long a)
{
    total += a;
    return total;
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(void)
{
    long count, rate;

    printf("ready\n");
    fflush(stdout);
    while (scanf("%ld %ld", &count, &rate) == 2) {
        double start = now();

        for (long i = 0; i < count; i++) {
            // Not faster than asked for; what was late is made up for.
            while (rate && now() < start + (double)i / (double)rate)
                ;
            probed(i);
        }
        printf("%.6f\n", now() - start);
        fflush(stdout);
    }
    return 0;
}
