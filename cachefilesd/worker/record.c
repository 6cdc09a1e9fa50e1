/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/worker/record.h"

#include "cachefilesd/config/json.h"
#include "base/try.h"
#include "cli/json.h"

#include <erofskit/trust.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kinds[] = {"registry", "local"};

ek_status ekd_record_make(struct ekd_record *record, uint32_t n_blobs,
			  uint32_t n_parts, struct ek_err *err)
{
	record->n_blobs = n_blobs;
	record->n_parts = n_parts;
	record->blobs = calloc(n_blobs ? n_blobs : 1, sizeof(*record->blobs));
	record->parts = calloc(n_parts ? n_parts : 1, sizeof(*record->parts));
	if (record->blobs && record->parts)
		return EK_OK;
	ekd_record_free(record);
	return ek_fail(err, EK_NOMEM, "no memory for an image");
}

void ekd_record_free(struct ekd_record *record)
{
	free(record->blobs);
	free(record->parts);
	*record = (struct ekd_record){0};
}

ek_status ekd_blob_name_of(const char *digest, char name[EKD_DOOR_NAME + 1],
			   struct ek_err *err)
{
	uint8_t sha[EK_DIGEST_SIZE];
	char hex[65];

	EK_TRY(ek_digest_parse(digest, sha, err));
	ek_digest_hex(sha, hex);
	snprintf(name, EKD_DOOR_NAME + 1, "sha256-%s", hex);
	return EK_OK;
}

void ekd_blob_rooted(struct ekd_record_blob *blob)
{
	size_t n = strlen(blob->name);
	char hex[65];

	ek_digest_hex(blob->root, hex);
	blob->rooted = true;
	/* As much of it as nobody finds a second root for. */
	snprintf(blob->name + n, sizeof(blob->name) - n, "-%.48s", hex);
}

static void put_blob(struct cli_json *j, const struct ekd_record_blob *b)
{
	cli_json_open(j, NULL, '{');
	cli_json_text(j, "digest", b->digest);
	cli_json_unsigned(j, "size", b->size);
	cli_json_hex(j, "root", b->root, sizeof(b->root));
	cli_json_text(j, "kind", kinds[b->kind]);
	cli_json_text(j, "from", b->from);
	cli_json_bool(j, "direct", b->direct);
	cli_json_bool(j, "packed", b->packed);
	cli_json_bool(j, "rooted", b->rooted);
	cli_json_close(j);
}

static void put_part(struct cli_json *j, const struct ekd_record_part *p)
{
	cli_json_open(j, NULL, '{');
	if (p->whole)
		cli_json_unsigned(j, "primary", p->primary);
	cli_json_open(j, "devices", '[');
	for (uint32_t i = 0; i < p->n_devices; i++) {
		/* Objects, since that is what lists are read as. */
		cli_json_open(j, NULL, '{');
		cli_json_unsigned(j, "blob", p->devices[i]);
		cli_json_close(j);
	}
	cli_json_close(j);
	cli_json_close(j);
}

ek_status ekd_record_print(const struct ekd_record *record, char **text,
			   size_t *n, struct ek_err *err)
{
	FILE *out = open_memstream(text, n);
	struct cli_json j;

	if (!out)
		return ek_fail(err, EK_NOMEM, "no memory for a record");
	cli_json_start(&j, out);
	cli_json_open(&j, NULL, '{');
	cli_json_unsigned(&j, "version", EKD_RECORD_VERSION);
	cli_json_text(&j, "target", record->target);
	cli_json_text(&j, "source", record->source);
	cli_json_text(&j, "from", record->from);
	cli_json_bool(&j, "rw", record->rw);
	cli_json_bool(&j, "persist", record->persist);
	cli_json_bool(&j, "suid", record->suid);
	cli_json_bool(&j, "complete", record->complete);
	cli_json_bool(&j, "loop", record->loop);
	cli_json_open(&j, "blobs", '[');
	for (uint32_t i = 0; i < record->n_blobs; i++)
		put_blob(&j, &record->blobs[i]);
	cli_json_close(&j);
	cli_json_open(&j, "parts", '[');
	for (uint32_t i = 0; i < record->n_parts; i++)
		put_part(&j, &record->parts[i]);
	cli_json_close(&j);
	cli_json_close(&j);
	if (fclose(out) == 0)
		return EK_OK;
	free(*text);
	return ek_fail(err, EK_NOMEM, "no memory for a record");
}

/* A text that must be there and fit @room bytes. */
static ek_status text(struct ekd_object *at, const char *key, char *to,
		      size_t room, struct ek_err *err)
{
	const char *got = NULL;

	EK_TRY(ekd_get_text(at, key, &got, err));
	if (!got || strlen(got) >= room)
		return ekd_object_fail(at, key, err, "missing or too long");
	snprintf(to, room, "%s", got);
	return EK_OK;
}

static ek_status get_blob(struct ekd_object *at, struct ekd_record_blob *b,
			  struct ek_err *err)
{
	char root[65], kind[16];

	EK_TRY(text(at, "digest", b->digest, sizeof(b->digest), err));
	if (ekd_blob_name_of(b->digest, b->name, NULL) != EK_OK)
		return ekd_object_fail(at, "digest", err, "not a SHA-256");
	EK_TRY(ekd_get_number(at, "size", 0, INT64_MAX, &b->size, err));
	EK_TRY(text(at, "root", root, sizeof(root), err));
	if (ek_digest_parse(root, b->root, NULL) != EK_OK)
		return ekd_object_fail(at, "root", err, "not a SHA-256");
	EK_TRY(text(at, "kind", kind, sizeof(kind), err));
	b->kind = strcmp(kind, kinds[EKD_FROM_LOCAL]) == 0 ? EKD_FROM_LOCAL
							   : EKD_FROM_REGISTRY;
	EK_TRY(text(at, "from", b->from, sizeof(b->from), err));
	EK_TRY(ekd_get_bool(at, "direct", &b->direct, err));
	EK_TRY(ekd_get_bool(at, "packed", &b->packed, err));
	EK_TRY(ekd_get_bool(at, "rooted", &b->rooted, err));
	if (b->rooted)
		ekd_blob_rooted(b);
	return ekd_object_done(at, err);
}

static ek_status get_part(struct ekd_object *at, uint32_t n_blobs,
			  struct ekd_record_part *p, struct ek_err *err)
{
	uint64_t blob = UINT64_MAX;
	struct ekd_object device;
	size_t n = 0;

	EK_TRY(ekd_get_number(at, "primary", 0, UINT32_MAX, &blob, err));
	p->whole = blob != UINT64_MAX;
	if (p->whole && blob >= n_blobs)
		return ekd_object_fail(at, "primary", err, "no such blob");
	p->primary = p->whole ? (uint32_t)blob : 0;
	EK_TRY(ekd_object_element(at, "devices", 0, &n, &device, err));
	if (n > EKD_DEVICES)
		return ekd_object_fail(at, "devices", err, "too many");
	for (uint32_t i = 0; i < n; i++) {
		blob = UINT64_MAX;
		EK_TRY(ekd_object_element(at, "devices", i, &n, &device, err));
		EK_TRY(ekd_get_number(&device, "blob", 0, UINT32_MAX, &blob,
				      err));
		if (blob >= n_blobs)
			return ekd_object_fail(&device, "blob", err,
					       "no such blob");
		p->devices[p->n_devices++] = (uint32_t)blob;
	}
	return ekd_object_done(at, err);
}

static ek_status get_lists(struct ekd_object *root, struct ekd_record *r,
			   struct ek_err *err)
{
	size_t n_blobs, n_parts;
	struct ekd_object at;

	EK_TRY(ekd_object_element(root, "blobs", SIZE_MAX, &n_blobs, &at, err));
	EK_TRY(ekd_object_element(root, "parts", SIZE_MAX, &n_parts, &at, err));
	if (n_blobs > EKD_DEVICES || n_parts > EKD_LOWERS || !n_parts)
		return ek_fail(err, EK_LIMIT, "too many blobs or parts");
	EK_TRY(ekd_record_make(r, (uint32_t)n_blobs, (uint32_t)n_parts, err));
	for (uint32_t i = 0; i < r->n_blobs; i++) {
		EK_TRY(ekd_object_element(root, "blobs", i, &n_blobs, &at,
					  err));
		EK_TRY(get_blob(&at, &r->blobs[i], err));
	}
	for (uint32_t i = 0; i < r->n_parts; i++) {
		EK_TRY(ekd_object_element(root, "parts", i, &n_parts, &at,
					  err));
		EK_TRY(get_part(&at, r->n_blobs, &r->parts[i], err));
	}
	return EK_OK;
}

static ek_status get_all(struct ekd_object *root, struct ekd_record *r,
			 struct ek_err *err)
{
	uint64_t version = 0;

	EK_TRY(ekd_get_number(root, "version", 0, UINT32_MAX, &version, err));
	if (version != EKD_RECORD_VERSION)
		return ek_fail(err, EK_UNSUPPORTED,
			       "a record of version %llu is not known",
			       (unsigned long long)version);
	EK_TRY(text(root, "target", r->target, sizeof(r->target), err));
	EK_TRY(text(root, "source", r->source, sizeof(r->source), err));
	EK_TRY(text(root, "from", r->from, sizeof(r->from), err));
	EK_TRY(ekd_get_bool(root, "rw", &r->rw, err));
	EK_TRY(ekd_get_bool(root, "persist", &r->persist, err));
	EK_TRY(ekd_get_bool(root, "suid", &r->suid, err));
	EK_TRY(ekd_get_bool(root, "complete", &r->complete, err));
	EK_TRY(ekd_get_bool(root, "loop", &r->loop, err));
	EK_TRY(get_lists(root, r, err));
	return ekd_object_done(root, err);
}

ek_status ekd_record_parse(const char *bytes, size_t n,
			   struct ekd_record *record, struct ek_err *err)
{
	struct ekd_object root;
	struct ekd_json json;
	ek_status s;

	*record = (struct ekd_record){0};
	EK_TRY(ekd_json_read(bytes, n, EKD_RECORD_MAX, &json, err));
	s = ekd_object_root(&json, &root, err);
	if (s == EK_OK)
		s = get_all(&root, record, err);
	ekd_json_free(&json);
	if (s != EK_OK)
		ekd_record_free(record);
	return s;
}
