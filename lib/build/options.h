/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_BUILD_OPTIONS_H
#define EK_BUILD_OPTIONS_H

/* Options of a build, and what of the codecs it needs. */

#include <erofskit/build.h>

#include "codec/codec.h"

#define EK_CODECS_MAX 8u

/* An encoder with parameters that it takes. */
struct ek_codec_choice {
	const struct ek_codec_info *info;
	struct ek_encoder_params params;
};

/* Copy, check and fill in defaults (but for codec, level and workers). */
ek_status ek_build_options_load(const struct ek_build_options *from,
				struct ek_build_options *to,
				struct ek_err *err);

/* codecs.c: find and check one; pclusters have @max_out bytes at most. */
ek_status ek_codec_choose(const struct ek_build_codec *c, uint32_t max_out,
			  struct ek_codec_choice *to, struct ek_err *err);

/* xattr.c: o->xattr_prefixes */
ek_status ek_xattr_check_longs(const struct ek_build_options *o,
			       struct ek_err *err);

/* compat.c: whether o->kernel_* can mount what @o, checked, asks for. */
ek_status ek_compat_options(const struct ek_build_options *o,
			    struct ek_err *err);

#endif
