/* SPDX-License-Identifier: Apache-2.0 */

/* The first word of a FUSE connection: what kernel and door agree on. */

#include "base/try.h"
#include "cachefilesd/kernel/fuse.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define FIRST_WORD_MS 10000
/* Requests of read-ahead that the kernel lets wait at once. */
#define BACKGROUND 256
/* The kernel asks for no less, though nothing is written. */
#define MAX_WRITE 4096u

void ekd_fuse_init(const struct ekd_fuse_in *in, bool no_resend,
		   struct fuse_init_out *out, struct ekd_door_kept *kept)
{
	uint64_t want = FUSE_ASYNC_READ | FUSE_ASYNC_DIO | FUSE_MAX_PAGES |
			FUSE_PARALLEL_DIROPS | FUSE_INIT_EXT |
			EKD_FUSE_HAS_RESEND;

	if (no_resend)
		want &= ~EKD_FUSE_HAS_RESEND;
	want &= in->features;
	memset(out, 0, sizeof(*out));
	out->major = FUSE_KERNEL_VERSION;
	out->minor = in->minor < EKD_FUSE_MINOR ? in->minor : EKD_FUSE_MINOR;
	out->max_readahead = in->max_readahead;
	out->flags = (uint32_t)want;
	out->flags2 = (uint32_t)(want >> 32);
	out->max_background = BACKGROUND;
	out->congestion_threshold = BACKGROUND / 4 * 3;
	out->max_write = MAX_WRITE;
	out->time_gran = 1;
	out->max_pages = EKD_DOOR_READ / 4096;
	memset(kept, 0, sizeof(*kept));
	kept->valid = 1;
	kept->major = out->major;
	/* Before 7.28 a request holds 32 pages. */
	kept->max_read = want & FUSE_MAX_PAGES ? EKD_DOOR_READ : 32 * 4096;
	kept->resend = (want & EKD_FUSE_HAS_RESEND) != 0;
}

ek_status ekd_fuse_handshake(int fd, bool no_resend, struct ekd_door_kept *kept,
			     struct ek_err *err)
{
	_Alignas(8) uint8_t buffer[EKD_FUSE_BUFFER];
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	struct fuse_out_header head = {0};
	struct fuse_init_out out;
	struct ekd_fuse_in in;
	struct iovec iov[2] = {{&head, sizeof(head)}, {&out, sizeof(out)}};
	ssize_t n;

	do
		n = poll(&poll_fd, 1, FIRST_WORD_MS);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return ek_fail(err, EK_IO, "FUSE: the kernel does not speak");
	do
		n = read(fd, buffer, sizeof(buffer));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return ek_fail_sys(err, errno, "FUSE: first request");
	EK_TRY(ekd_fuse_decode(buffer, (size_t)n, &in, err));
	if (in.opcode != FUSE_INIT || in.major != FUSE_KERNEL_VERSION ||
	    in.minor < 23)
		return ek_fail(err, EK_UNSUPPORTED,
			       "FUSE: request %u, protocol %u.%u: too old or "
			       "not understood",
			       (unsigned)in.opcode, (unsigned)in.major,
			       (unsigned)in.minor);
	ekd_fuse_init(&in, no_resend, &out, kept);
	head.len = sizeof(head) + sizeof(out);
	head.unique = in.unique;
	if (writev(fd, iov, 2) != (ssize_t)head.len) {
		kept->valid = 0;
		return ek_fail_sys(err, errno, "FUSE: first answer");
	}
	return EK_OK;
}
