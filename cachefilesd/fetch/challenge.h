/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_FETCH_CHALLENGE_H
#define EKD_FETCH_CHALLENGE_H

/* The field WWW-Authenticate (RFC 9110, 11.6.1). Pure. */

#include <stdbool.h>
#include <stddef.h>

#define EKD_CHALLENGES_MAX 8

struct ekd_challenge {
	bool bearer; /* else Basic */
	char realm[1024];
	char service[256];
	char scope[1024];
};

/*
 * The Basic and Bearer challenges in @n bytes of @text, at most @room; other
 * schemes are passed over. Several fields are joined with ", ". Parsing ends
 * where the text breaks the grammar: what came before counts. A Bearer without
 * realm, and one with a value that is too long or has control characters, do
 * not count. Returns how many there are.
 */
size_t ekd_challenges_parse(const char *text, size_t n,
			    struct ekd_challenge *to, size_t room);

#endif
