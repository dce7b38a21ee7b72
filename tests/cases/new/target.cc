// A program with functions of all sorts of parameters. For each line that it reads it calls them with that line as text, and
// prints "done" and what they returned.
#include <stdio.h>
#include <string.h>

enum Mode { READING = 1, WRITING = 2 };

struct Point {
	double x, y;
};

struct Pair {
	int first, second;
};

struct Large {
	long numbers[4];
};

struct Session {
	long id;
	int run(const char *text, Mode mode) const;
	int run(const char *text, long times) const;
};

#define CALLED __attribute__((noipa))

CALLED int Session::run(const char *text, Mode mode) const
{
	return id + mode + strlen(text);
}

CALLED int Session::run(const char *text, long times) const
{
	return id * times + strlen(text);
}

CALLED long everything(signed char letter, short low, unsigned wide, const Session &session, bool yes, const char *text,
                       Mode on_stack, const char *text_on_stack, double factor, Point point, Large large)
{
	return letter + low + wide + session.id + yes + strlen(text) + on_stack + strlen(text_on_stack) + factor + point.x +
	       large.numbers[3];
}

CALLED double half(Pair pair, double factor)
{
	return (pair.first + pair.second) * factor / 2;
}

int main()
{
	char line[256];
	Session session = {1000};

	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		long sum = session.run(line, WRITING) + session.run(line, 3L);
		sum += everything(-5, -300, 4000000000u, session, true, line, READING, "second", 2.5, {1, 2}, {{1, 2, 3, 4}});
		sum += half({3, -4}, 2);
		printf("done %ld\n", sum);
		fflush(stdout);
	}
	return 0;
}
