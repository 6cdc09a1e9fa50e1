/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_SETUP_H
#define EKD_SETUP_H

#include "cachefilesd/config/config.h"
#include "cachefilesd/opts.h"

/*
 * The configuration that options name, with what options say instead of it;
 * for ekd_config_release().
 */
ek_status ekd_load_config(const struct ekd_options *o,
			  struct ekd_config *config, struct ek_err *err);

/* @path from this directory on, for free(). */
ek_status ekd_absolute(const char *path, char **whole, struct ek_err *err);

#endif
