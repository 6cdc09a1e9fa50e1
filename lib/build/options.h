/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_BUILD_OPTIONS_H
#define EK_BUILD_OPTIONS_H

/* Options of a build, and what of the codecs it needs. */

#include <erofskit/build.h>

struct ek_encoder;

/* Copy, check and fill in defaults (but for codec, level and workers). */
ek_status ek_build_options_load(const struct ek_build_options *from,
				struct ek_build_options *to,
				struct ek_err *err);

/* An encoder as @o says; o->codec was checked and is not NULL. */
ek_status ek_build_encoder(const struct ek_build_options *o,
			   struct ek_encoder **enc, struct ek_err *err);
void ek_build_encoder_free(struct ek_encoder *enc);

/* Number of the algorithm on disk. */
unsigned int ek_build_algorithm(const struct ek_build_options *o);

#endif
