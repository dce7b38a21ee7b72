// Probes whose arguments are in all sorts of places.
#include "usdt.h"

USDT_SEMAPHORE(guarded_semaphore);
static volatile int global = 3;

__attribute__((noinline)) int work(int number, long *list, unsigned char byte)
{
	volatile short local = (short)number;

	USDT("fixture", "plain", "", "i"(0));
	USDT("fixture", "many", "-4@%0 8@%1 1@%2 -2@%3 4@%4", "r"(number), "r"(list), "q"(byte), "m"(local), "i"(77));
	USDT("fixture", "many", "-4@%0 8@%1 1@%2 -2@%3 4@%4", "i"(-5), "m"(list[2]), "i"(9), "r"(local), "m"(global));
	USDT_WITH(guarded_semaphore, "fixture", "guarded", "8@%0", "m"(list[number & 3]));
	USDT("other", "plain", "8f@%0", "x"((double)number));
	return local + guarded_semaphore;
}

int main(int argc, char **argv)
{
	long list[4] = {1, 2, 3, 4};

	(void)argv;
	return work(argc, list, (unsigned char)argc) == 12345;
}
