/* SPDX-License-Identifier: Apache-2.0 */

/* The backend of a blob in a registry. */

#include "cachefilesd/serve/priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct registry {
	struct ekd_backend backend;
	struct ekd_fetch *fetch;
	struct ekd_reference ref;
	char digest[72];
};

static ek_status registry_start(struct ekd_backend *backend, uint64_t offset,
				size_t n, enum ekd_priority priority,
				uint32_t deadline_ms, ekd_fetched done,
				void *arg, uint64_t *id, struct ek_err *err)
{
	struct registry *r = (struct registry *)backend;

	return ekd_fetch_range(r->fetch, &r->ref, r->digest, offset, n,
			       priority, deadline_ms, done, arg, id, err);
}

static void registry_cancel(struct ekd_backend *backend, uint64_t id)
{
	ekd_fetch_cancel(((struct registry *)backend)->fetch, id);
}

static ek_status registry_info(struct ekd_backend *backend, uint64_t id,
			       struct ekd_fetch_info *info, struct ek_err *err)
{
	return ekd_fetch_info(((struct registry *)backend)->fetch, id, info,
			      err);
}

static void registry_raise(struct ekd_backend *backend, uint64_t id,
			   enum ekd_priority priority)
{
	ekd_fetch_raise(((struct registry *)backend)->fetch, id, priority);
}

static void registry_blame(struct ekd_backend *backend)
{
	struct registry *r = (struct registry *)backend;

	ekd_fetch_blame(r->fetch, r->digest);
}

static void registry_free(struct ekd_backend *backend)
{
	free(backend);
}

ek_status ekd_backend_registry(struct ekd_fetch *fetch,
			       const struct ekd_reference *ref,
			       const char *digest, struct ekd_backend **backend,
			       struct ek_err *err)
{
	struct registry *r;

	if (strlen(digest) >= sizeof(r->digest))
		return ek_fail(err, EK_INVALID, "digest too long");
	r = calloc(1, sizeof(*r));
	if (!r)
		return ek_fail(err, EK_NOMEM, "no memory for a registry blob");
	r->backend = (struct ekd_backend){.start = registry_start,
					  .cancel = registry_cancel,
					  .info = registry_info,
					  .free = registry_free,
					  .raise = registry_raise,
					  .blame = registry_blame};
	r->fetch = fetch;
	r->ref = *ref;
	snprintf(r->digest, sizeof(r->digest), "%s", digest);
	*backend = &r->backend;
	return EK_OK;
}
