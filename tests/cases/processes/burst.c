// burst COUNT: starts COUNT processes, at most 64 at a time, once it is told to by a line on its standard input, and
// prints a line for each: its id, how it was started, and what wait() said of it.
//
// They end in all the ways that there are, by their numbers; see enum way.
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define AT_ONCE 64
#define THREADS 8

enum way {
    FORKED,  // ends with a code, as a copy of its parent that never was another program
    CODE,    // another program that ends with a code
    KILLED,  // another program that is killed
    THREADED, // another program whose threads end together, after the first of them
    WAYS,
};

static atomic_int waiting = THREADS;

// Those that are not woken but look end closer together.
static void *end_together(void *unused)
{
    atomic_fetch_sub(&waiting, 1);
    while (atomic_load(&waiting) > 0)
        sched_yield();
    return unused;
}

static int child(enum way way, int number)
{
    if (way == KILLED)
        raise(SIGKILL);
    if (way != THREADED)
        return number & 255;
    for (int i = 0; i < THREADS; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, end_together, NULL))
            return 255;
    }
    pthread_exit(NULL);
}

static pid_t start(int number)
{
    enum way way = number % WAYS;
    pid_t pid = fork();
    char ways[16], numbers[16];

    if (pid != 0)
        return pid;
    if (way == FORKED)
        _exit(number & 255);
    snprintf(ways, sizeof(ways), "%d", way);
    snprintf(numbers, sizeof(numbers), "%d", number);
    execl("/proc/self/exe", "burst child", ways, numbers, (char *)NULL);
    _exit(254);
}

static void await(int *numbers, pid_t *pids)
{
    int status;
    pid_t pid = wait(&status);

    for (int i = 0; i < AT_ONCE; i++) {
        if (pids[i] != pid)
            continue;
        printf("%d %d %d %d %d\n", pid, numbers[i], numbers[i] % WAYS != FORKED,
               WIFEXITED(status) ? WEXITSTATUS(status) : 0, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
        pids[i] = 0;
        return;
    }
}

int main(int argc, char **argv)
{
    int numbers[AT_ONCE], running = 0;
    pid_t pids[AT_ONCE] = {};

    if (argc == 3)
        return child(atoi(argv[1]), atoi(argv[2]));
    printf("ready\n");
    fflush(stdout);
    if (getchar() == EOF)
        return 1;
    for (int number = 0, count = atoi(argv[1]); number < count; number++) {
        int slot = 0;
        if (running == AT_ONCE)
            await(numbers, pids), running--;
        while (pids[slot])
            slot++;
        numbers[slot] = number;
        pids[slot] = start(number);
        if (pids[slot] < 0)
            return 2;
        running++;
    }
    while (running-- > 0)
        await(numbers, pids);
    return 0;
}
