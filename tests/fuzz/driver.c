/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Runs a fuzz target without libFuzzer: every file named on the command line
 * or lying in a directory named there, as it is and then in N versions with
 * seeded damage, so that two runs do the same on every machine.
 *
 * usage: fuzz-NAME [-n MUTATIONS] PATH...
 */

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Larger inputs are cut: the targets look at structures, not at bulk. */
#define INPUT_MAX (8U << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
	unsigned int mutations;
	unsigned long inputs;
	unsigned long files;
};

static uint64_t next(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*state = x;
	return x;
}

static uint64_t seed_of(const uint8_t *p, size_t n)
{
	uint64_t h = 0xcbf29ce484222325U;

	for (size_t i = 0; i < n && i < 4096; i++)
		h = (h ^ p[i]) * 0x100000001b3U;
	return (h ^ n) | 1;
}

/* Half of the places are in the first 4 KiB, where the structures start. */
static size_t place(uint64_t *s, size_t n)
{
	size_t bound = n > 4096 && next(s) % 2 ? 4096 : n;

	return (size_t)(next(s) % bound);
}

static void damage_once(uint8_t *p, size_t *n, uint64_t *s)
{
	static const uint8_t edges[] = {0, 1, 0x7f, 0x80, 0xff};
	size_t at = place(s, *n), len = next(s) % 8 + 1;

	if (len > *n - at)
		len = *n - at;
	switch (next(s) % 6) {
	case 0:
		p[at] ^= (uint8_t)(1U << next(s) % 8);
		break;
	case 1:
		p[at] = (uint8_t)next(s);
		break;
	case 2:
		memset(p + at, edges[next(s) % sizeof(edges)], len);
		break;
	case 3:
		p[at] = (uint8_t)(p[at] + (next(s) % 2 ? 1 : -1));
		break;
	case 4:
		memmove(p + at, p + next(s) % (*n - len + 1), len);
		break;
	default:
		/* Rarely, or most inputs would be mere beginnings. */
		if (next(s) % 4 == 0 && *n > 1)
			*n = at ? at : 1;
		break;
	}
}

static void one_input(struct run *run, const uint8_t *data, size_t n)
{
	/* An exact allocation lets ASan see a read of one byte too many. */
	uint8_t *copy = malloc(n ? n : 1);

	if (!copy)
		exit(2);
	if (n)
		memcpy(copy, data, n);
	LLVMFuzzerTestOneInput(copy, n);
	free(copy);
	run->inputs++;
}

static void run_bytes(struct run *run, const uint8_t *data, size_t n)
{
	uint64_t state = seed_of(data, n);
	uint8_t *work;

	run->files++;
	one_input(run, data, n);
	if (n == 0)
		return;
	work = malloc(n);
	if (!work)
		exit(2);
	for (unsigned int i = 0; i < run->mutations; i++) {
		size_t len = n;
		unsigned int times = (unsigned int)(next(&state) % 6) + 1;

		memcpy(work, data, n);
		while (times--)
			damage_once(work, &len, &state);
		one_input(run, work, len);
	}
	free(work);
}

static void run_file(struct run *run, const char *path)
{
	uint8_t *data = malloc(INPUT_MAX);
	FILE *f = fopen(path, "rb");
	size_t n;

	if (!data || !f) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(2);
	}
	n = fread(data, 1, INPUT_MAX, f);
	fclose(f);
	run_bytes(run, data, n);
	free(data);
}

static int visible(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

static void run_path(struct run *run, const char *path)
{
	struct dirent **names;
	struct stat st;
	int n;

	if (stat(path, &st)) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(2);
	}
	if (!S_ISDIR(st.st_mode)) {
		run_file(run, path);
		return;
	}
	n = scandir(path, &names, visible, alphasort);
	for (int i = 0; i < n; i++) {
		char sub[4096];

		snprintf(sub, sizeof(sub), "%s/%s", path, names[i]->d_name);
		run_path(run, sub);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
}

int main(int argc, char **argv)
{
	static const uint8_t nothing[1];
	struct run run = {.mutations = 0};
	int i = 1;

	if (argc > 2 && strcmp(argv[1], "-n") == 0) {
		run.mutations = (unsigned int)strtoul(argv[2], NULL, 10);
		i = 3;
	}
	run_bytes(&run, nothing, 0);
	for (; i < argc; i++)
		run_path(&run, argv[i]);
	printf("%lu files, %lu inputs\n", run.files, run.inputs);
	return 0;
}
