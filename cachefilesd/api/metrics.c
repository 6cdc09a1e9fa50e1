/* SPDX-License-Identifier: Apache-2.0 */

/* Prometheus text, version 0.0.4. */

#include "cachefilesd/api/routes.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void head(FILE *out, const char *name, const char *type,
		 const char *help)
{
	fprintf(out,
		"# HELP erofs_cachefilesd_%s %s\n"
		"# TYPE erofs_cachefilesd_%s %s\n",
		name, help, name, type);
}

static void one(FILE *out, const char *name, const char *type, const char *help,
		uint64_t v)
{
	head(out, name, type, help);
	fprintf(out, "erofs_cachefilesd_%s %" PRIu64 "\n", name, v);
}

static void put_door(FILE *out, const struct ekd_service_status *s)
{
	one(out, "door_reads_total", "counter", "Reads of the kernel.",
	    s->door.reads);
	one(out, "door_read_bytes_total", "counter", "Bytes of these.",
	    s->door.read_bytes);
	one(out, "door_errors_total", "counter", "Reads answered by an error.",
	    s->door.errors);
	one(out, "door_resent_total", "counter",
	    "Requests that came again after a restart.", s->door.resent);
	one(out, "door_waiting", "gauge", "Reads not answered yet.",
	    s->door.waiting);
	one(out, "door_broken", "gauge", "1: the kernel's connection is gone.",
	    s->door_broken);
	one(out, "holder", "gauge", "1: the holder is there.", s->holder);
	one(out, "images", "gauge", "Images that are mounted.", s->images);
	one(out, "lazy_images", "gauge", "Those that need the daemon.",
	    s->lazy_images);
}

static void put_store(FILE *out, const struct ekd_store_stats *s)
{
	one(out, "store_bytes", "gauge", "Bytes of blobs on this host.",
	    s->bytes);
	one(out, "store_quota_bytes", "gauge", "Most of them; 0: no limit.",
	    s->quota);
	one(out, "store_blobs", "gauge", "Blobs known to the store.", s->blobs);
	one(out, "store_complete_blobs", "gauge", "Blobs that are whole.",
	    s->complete_blobs);
	one(out, "store_fill_bytes_total", "counter", "Verified bytes written.",
	    s->fill_bytes);
	one(out, "store_refused_fills_total", "counter",
	    "Leaves that were not what they had to be.", s->refused_fills);
	one(out, "store_evicted_leaves_total", "counter", "Leaves evicted.",
	    s->evicted_leaves);
	one(out, "store_dropped_leaves_total", "counter",
	    "Leaves dropped at recovery or verification.", s->dropped_leaves);
}

static void put_fetch(FILE *out, const struct ekd_service_status *s)
{
	one(out, "fetch_requests_total", "counter", "Requests to registries.",
	    s->fetch.requests);
	one(out, "fetch_retries_total", "counter", "Tries after a failed one.",
	    s->fetch.retries);
	one(out, "fetch_failures_total", "counter", "Requests that failed.",
	    s->fetch.failures);
	one(out, "fetch_bytes_total", "counter", "Bytes that came.",
	    s->fetch.bytes);
	one(out, "serve_memory_bytes", "gauge", "Bytes under way.",
	    s->serve.memory);
	one(out, "serve_waiting", "gauge", "Readers that wait.",
	    s->serve.waiting);
	one(out, "serve_under_way", "gauge", "Requests under way.",
	    s->serve.under_way);
}

/* All images, looked at once: the columns are of one moment. */
struct rows {
	size_t n;
	struct row {
		char id[EKD_IMAGE_ID], *target;
		struct ekd_served_stats sum;
	} * rows;
};

/* One for which there is no memory is left out. */
static void add_row(void *arg, const struct ekd_image_info *image)
{
	struct rows *r = arg;
	struct row *rows = reallocarray(r->rows, r->n + 1, sizeof(*rows));

	if (!rows)
		return;
	r->rows = rows;
	rows[r->n].target = strdup(image->target);
	if (!rows[r->n].target)
		return;
	snprintf(rows[r->n].id, sizeof(rows[r->n].id), "%s", image->id);
	rows[r->n++].sum = image->sum;
}

static void put_row(FILE *out, const char *name, const struct row *row,
		    uint64_t value)
{
	fprintf(out, "erofs_cachefilesd_%s{image=\"%s\",target=\"", name,
		row->id);
	for (const char *p = row->target; *p; p++)
		if (*p == '\n')
			fputs("\\n", out);
		else if (*p == '"' || *p == '\\')
			fprintf(out, "\\%c", *p);
		else
			putc(*p, out);
	fprintf(out, "\"} %" PRIu64 "\n", value);
}

#define VALUE(member)                                                          \
	static uint64_t member(const struct ekd_served_stats *sum)             \
	{                                                                      \
		return sum->member;                                            \
	}
VALUE(size)
VALUE(present)
VALUE(reads)
VALUE(hits)
VALUE(failed)
VALUE(asked)
VALUE(fetched)
VALUE(wrong)
VALUE(waiting)

static void put_images(FILE *out, struct ekd_service *service)
{
	static const struct {
		const char *name, *type, *help;
		uint64_t (*value)(const struct ekd_served_stats *sum);
	} columns[] = {
		{"image_size_bytes", "gauge", "Bytes of its blobs.", size},
		{"image_present_bytes", "gauge", "Those that are here.",
		 present},
		{"image_reads_total", "counter", "Reads.", reads},
		{"image_hits_total", "counter", "Reads that did not wait.",
		 hits},
		{"image_failed_total", "counter", "Reads that failed.", failed},
		{"image_asked_bytes_total", "counter", "Bytes asked for.",
		 asked},
		{"image_fetched_bytes_total", "counter", "Bytes fetched.",
		 fetched},
		{"image_wrong_leaves_total", "counter",
		 "Leaves that came wrong.", wrong},
		{"image_waiting", "gauge", "Readers that wait.", waiting},
	};

	struct rows r = {0};

	ekd_service_images(service, add_row, &r);
	for (size_t i = 0; i < sizeof(columns) / sizeof(*columns); i++) {
		head(out, columns[i].name, columns[i].type, columns[i].help);
		for (size_t k = 0; k < r.n; k++)
			put_row(out, columns[i].name, &r.rows[k],
				columns[i].value(&r.rows[k].sum));
	}
	while (r.n > 0)
		free(r.rows[--r.n].target);
	free(r.rows);
}

void ekd_report_metrics(const struct ekd_routes *routes, FILE *out)
{
	struct ekd_service_status s;

	ekd_service_status(routes->service, &s);
	put_door(out, &s);
	put_store(out, &s.store);
	put_fetch(out, &s);
	put_images(out, routes->service);
}
