/* SPDX-License-Identifier: Apache-2.0 */
#include "tar/reader.h"

#include "base/bytes.h"
#include "base/try.h"

#include <string.h>

/*
 * A header costs one system call when it is read alone. Reading ahead a
 * little takes the headers of several small members with one call; reading
 * far ahead copies data that is then passed over. So a jump begins anew with
 * little, and each read that goes on where the last ended takes twice as
 * much. An input that cannot skip is read in whole windows: it is a pipe or
 * a decoder, for which larger pieces are cheaper.
 */
#define WINDOW	     (256u << 10)
#define WINDOW_SMALL (2u << 10)

static ek_status fill(struct ek_tar *tar, struct ek_err *err)
{
	if (!tar->window) {
		tar->window = malloc(WINDOW);
		if (!tar->window)
			return ek_fail(err, EK_NOMEM, "no memory for a tar");
	}
	tar->window_at = 0;
	tar->window_n = 0;
	if (!tar->in->skip || tar->ahead >= WINDOW / 2)
		tar->ahead = WINDOW;
	else
		tar->ahead = tar->ahead ? 2 * tar->ahead : WINDOW_SMALL;
	return tar->in->read(tar->in, tar->window, tar->ahead, &tar->window_n,
			     err);
}

ek_status ek_tar_take_some(struct ek_tar *tar, void *to, size_t n, size_t *got,
			   struct ek_err *err)
{
	uint8_t *p = to;

	*got = 0;
	while (*got < n) {
		size_t have = tar->window_n - tar->window_at;
		size_t part = have < n - *got ? have : n - *got;

		if (part) {
			memcpy(p + *got, tar->window + tar->window_at, part);
			tar->window_at += part;
		} else if (n - *got >= WINDOW) {
			EK_TRY(tar->in->read(tar->in, p + *got, n - *got, &part,
					     err));
			if (!part)
				return EK_OK;
		} else {
			EK_TRY(fill(tar, err));
			if (!tar->window_n)
				return EK_OK;
			continue;
		}
		*got += part;
		tar->offset += part;
	}
	return EK_OK;
}

ek_status ek_tar_take(struct ek_tar *tar, void *to, size_t n,
		      struct ek_err *err)
{
	size_t got = 0;

	EK_TRY(ek_tar_take_some(tar, to, n, &got, err));
	if (got < n)
		return ek_fail(err, EK_CORRUPT, "the archive is cut");
	return EK_OK;
}

static ek_status read_and_drop(struct ek_tar *tar, uint64_t n,
			       struct ek_err *err)
{
	while (n) {
		size_t have = tar->window_n - tar->window_at, part;

		if (!have) {
			EK_TRY(fill(tar, err));
			have = tar->window_n;
			if (!have)
				return ek_fail(err, EK_CORRUPT,
					       "the archive is cut");
		}
		part = (size_t)ek_min(have, n);
		tar->window_at += part;
		tar->offset += part;
		n -= part;
	}
	return EK_OK;
}

ek_status ek_tar_pass(struct ek_tar *tar, uint64_t n, struct ek_err *err)
{
	size_t have = tar->window_n - tar->window_at;

	if (!tar->in->skip || n <= have)
		return read_and_drop(tar, n, err);
	tar->window_at = tar->window_n = 0;
	tar->ahead = 0;
	tar->offset += have;
	EK_TRY(tar->in->skip(tar->in, n - have, err));
	tar->offset += n - have;
	return EK_OK;
}
