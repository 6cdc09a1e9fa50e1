/* SPDX-License-Identifier: Apache-2.0 */

/*
 * References, and JSON from registries: token answers, indexes, errors. The
 * first byte says which.
 */

#include "cachefilesd/fetch/answers.h"
#include "cachefilesd/fetch/reference.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run_reference(const uint8_t *data, size_t size)
{
	struct ekd_reference ref, back;
	char *text = malloc(size + 1), plain[1024];

	if (!text)
		return;
	memcpy(text, data, size);
	text[size] = '\0';
	if (ekd_reference_parse(text, &ref, NULL) == EK_OK) {
		if (!ekd_reference_ok(&ref) ||
		    (ref.tag[0] == '\0') == (ref.digest[0] == '\0'))
			abort();
		snprintf(plain, sizeof(plain), "%s/%s%s%s", ref.host, ref.repo,
			 ref.tag[0] ? ":" : "@",
			 ref.tag[0] ? ref.tag : ref.digest);
		if (ekd_reference_parse(plain, &back, NULL) != EK_OK ||
		    memcmp(&ref, &back, sizeof(ref)) != 0)
			abort();
	}
	free(text);
}

static void run_token(const uint8_t *data, size_t size)
{
	uint32_t seconds;
	char *token;

	if (ekd_token_parse(data, size, &token, &seconds, NULL) != EK_OK) {
		if (token)
			abort();
		return;
	}
	if (seconds == 0 || token[0] == '\0' || strlen(token) > EKD_TOKEN_MAX ||
	    strpbrk(token, " \r\n\t"))
		abort();
	free(token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char digest[72], code[48];
	uint8_t *copy;

	if (size == 0)
		return 0;
	copy = malloc(size);
	if (!copy)
		return 0;
	memcpy(copy, data + 1, size - 1);
	switch (data[0] % 4) {
	case 0:
		run_reference(copy, size - 1);
		break;
	case 1:
		run_token(copy, size - 1);
		break;
	case 2:
		if (ekd_index_choose(copy, size - 1, "linux/amd64", digest,
				     NULL) == EK_OK &&
		    !ekd_digest_ok(digest))
			abort();
		break;
	default:
		ekd_error_code(copy, size - 1, code, sizeof(code));
		if (strlen(code) >= sizeof(code))
			abort();
		break;
	}
	free(copy);
	return 0;
}
