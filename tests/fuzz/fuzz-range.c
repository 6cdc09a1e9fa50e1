/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Small fields of answers, and URLs that redirects lead to. The first byte says
 * which; the rest is the field.
 */

#include "cachefilesd/fetch/fields.h"
#include "cachefilesd/fetch/place.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run_range(const char *text, size_t n)
{
	struct ekd_content_range r, back;
	char plain[128], size[32] = "*";

	if (!ekd_content_range_parse(text, n, &r))
		return;
	if (r.first > r.last || r.last >= r.size)
		abort();
	if (r.size != EKD_SIZE_UNKNOWN)
		snprintf(size, sizeof(size), "%" PRIu64, r.size);
	snprintf(plain, sizeof(plain), "bytes %" PRIu64 "-%" PRIu64 "/%s",
		 r.first, r.last, size);
	if (!ekd_content_range_parse(plain, strlen(plain), &back) ||
	    back.first != r.first || back.last != r.last || back.size != r.size)
		abort();
}

static void run_url(const char *text)
{
	static const char base[] = "https://h.example:5000/v2/a/blobs/x";
	struct ekd_origin origin;
	char *url, *again;

	if (ekd_place_resolve(base, text, &url, NULL) != EK_OK)
		return;
	/* What came out is a URL by itself, and leads to itself. */
	if (strlen(url) > EKD_URL_MAX || strpbrk(url, " \r\n\t") ||
	    ekd_origin_of(url, &origin, NULL) != EK_OK)
		abort();
	if (ekd_place_resolve(base, url, &again, NULL) != EK_OK ||
	    strcmp(url, again) != 0)
		abort();
	free(again);
	free(url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text, media[16];
	uint32_t seconds;

	if (size == 0)
		return 0;
	text = malloc(size);
	if (!text)
		return 0;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	switch (data[0] % 4) {
	case 0:
		run_range(text, size - 1);
		break;
	case 1:
		if (ekd_retry_after_parse(text, 784111777, &seconds) &&
		    seconds > 86400)
			abort();
		break;
	case 2:
		run_url(text);
		break;
	default:
		ekd_media_parse(text, media, sizeof(media));
		if (strlen(media) >= sizeof(media))
			abort();
		break;
	}
	free(text);
	return 0;
}
