/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_FETCH_PLACE_H
#define EKD_FETCH_PLACE_H

/* URLs. Pure but for memory. */

#include "cachefilesd/fetch/fetch.h"

/* Longest URL that is asked for; signed ones run to some 2 KiB. */
#define EKD_URL_MAX 16384

/* Where a connection goes. */
struct ekd_origin {
	bool tls;
	char host[256]; /* "name:port", without the port of the scheme */
	char name[272]; /* "https://" and host: equal means the same server */
};

/*
 * The origin of an absolute URL of http or https without user and password,
 * else EK_INVALID. Errors hold no more of the URL than its host.
 */
ek_status ekd_origin_of(const char *url, struct ekd_origin *origin,
			struct ek_err *err);

/*
 * @location as seen from @base, an absolute URL; *url for free(). EK_CORRUPT
 * when it is no URL for us, or too long.
 */
ek_status ekd_place_resolve(const char *base, const char *location, char **url,
			    struct ek_err *err);

/*
 * The URL of a blob or (@manifest) a manifest under @base ("https://host/" or
 * with a path, with or without the last slash). @name is a tag or a digest, @ns
 * the registry that a mirror stands for, or NULL. *url for free().
 */
ek_status ekd_place_of(const char *base, const char *repo, bool manifest,
		       const char *name, const char *ns, char **url,
		       struct ek_err *err);

/* Whether @host is in the list, which NULL ends; a NULL list is empty. */
bool ekd_listed(const char *const *list, const char *host);

#endif
