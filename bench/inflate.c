/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The least that reading a gzip layer can cost: zlib's loop over a file, and
 * nothing done with what comes out. usage: inflate FILE.gz
 */

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include <zlib.h>

static unsigned char in[256 << 10], out[256 << 10];

int main(int argc, char **argv)
{
	z_stream z = {0};
	int rc = Z_OK, fd = argc == 2 ? open(argv[1], O_RDONLY) : -1;
	ssize_t n = 0;

	if (fd < 0 || inflateInit2(&z, 15 + 16) != Z_OK)
		return 1;
	while (rc == Z_OK && (n = read(fd, in, sizeof(in))) > 0) {
		z.next_in = in;
		z.avail_in = (uInt)n;
		do {
			z.next_out = out;
			z.avail_out = sizeof(out);
			rc = inflate(&z, Z_NO_FLUSH);
		} while (rc == Z_OK && !z.avail_out);
		if (rc == Z_BUF_ERROR)
			rc = Z_OK;
	}
	inflateEnd(&z);
	printf("%lu\n", z.total_out);
	return rc == Z_STREAM_END ? 0 : 1;
}
