/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/api/routes.h"

#include "cli/json.h"

#include <string.h>
#include <unistd.h>

#define HOSTS_MAX 64

static void put_stats(struct cli_json *j, const struct ekd_served_stats *s)
{
	cli_json_unsigned(j, "size", s->size);
	cli_json_unsigned(j, "present", s->present);
	cli_json_bool(j, "complete", s->complete);
	cli_json_bool(j, "completing", s->completing);
	cli_json_unsigned(j, "reads", s->reads);
	cli_json_unsigned(j, "hits", s->hits);
	cli_json_unsigned(j, "waited", s->waited);
	cli_json_unsigned(j, "failed", s->failed);
	cli_json_unsigned(j, "asked_bytes", s->asked);
	cli_json_unsigned(j, "fetched_bytes", s->fetched);
	cli_json_unsigned(j, "demand_bytes", s->demand);
	cli_json_unsigned(j, "ahead_bytes", s->ahead);
	cli_json_unsigned(j, "prefetched_bytes", s->prefetched);
	cli_json_unsigned(j, "completed_bytes", s->completed);
	cli_json_unsigned(j, "requests", s->requests);
	cli_json_unsigned(j, "request_failures", s->request_failures);
	cli_json_unsigned(j, "joined", s->joined);
	cli_json_unsigned(j, "doubled", s->doubled);
	cli_json_unsigned(j, "wrong_leaves", s->wrong);
	cli_json_unsigned(j, "no_room_leaves", s->no_room);
	cli_json_unsigned(j, "wait_us", s->wait_us);
	cli_json_unsigned(j, "wait_max_us", s->wait_max_us);
	cli_json_unsigned(j, "waiting", s->waiting);
	cli_json_unsigned(j, "under_way", s->under_way);
	cli_json_unsigned(j, "prefetch_listed", s->prefetch_listed);
	cli_json_unsigned(j, "prefetch_failed", s->prefetch_failed);
	cli_json_text(j, "last_error", s->last_error);
}

static void put_image(void *arg, const struct ekd_image_info *i)
{
	struct cli_json *j = arg;

	cli_json_open(j, NULL, '{');
	cli_json_text(j, "id", i->id);
	cli_json_text(j, "target", i->target);
	cli_json_text(j, "source", i->source);
	cli_json_text(j, "from", i->from);
	cli_json_text(j, "state", ekd_image_state_name(i->state));
	cli_json_text(j, "problem", i->problem);
	cli_json_bool(j, "rw", i->rw);
	cli_json_bool(j, "persist", i->persist);
	cli_json_bool(j, "recording", i->recording);
	cli_json_bool(j, "lazy", i->lazy);
	put_stats(j, &i->sum);
	cli_json_open(j, "blobs", '[');
	for (uint32_t k = 0; k < i->n_blobs; k++) {
		const struct ekd_blob_info *b = &i->blobs[k];

		if (!b->name)
			continue;
		cli_json_open(j, NULL, '{');
		cli_json_text(j, "name", b->name);
		cli_json_text(j, "from", b->from);
		cli_json_text(j, "read", b->door ? "door" : "direct");
		put_stats(j, &b->stats);
		cli_json_close(j);
	}
	cli_json_close(j);
	cli_json_close(j);
}

void ekd_report_images(const struct ekd_routes *routes, FILE *out)
{
	struct cli_json j;

	cli_json_start(&j, out);
	cli_json_open(&j, NULL, '{');
	cli_json_open(&j, "images", '[');
	ekd_service_images(routes->service, put_image, &j);
	cli_json_close(&j);
	cli_json_close(&j);
}

static void put_door(struct cli_json *j, const struct ekd_routes *routes,
		     const struct ekd_service_status *s)
{
	cli_json_open(j, "door", '{');
	cli_json_text(j, "name", routes->door);
	cli_json_bool(j, "broken", s->door_broken);
	/* What the promise of the daemon rests on; see docs/daemon.md. */
	cli_json_text(j, "without_a_daemon",
		      "fails closed: reads wait, or "
		      "get an I/O error");
	cli_json_bool(j, "restarts_unseen", s->resend);
	cli_json_unsigned(j, "requests", s->door.taken);
	cli_json_unsigned(j, "reads", s->door.reads);
	cli_json_unsigned(j, "read_bytes", s->door.read_bytes);
	cli_json_unsigned(j, "errors", s->door.errors);
	cli_json_unsigned(j, "resent", s->door.resent);
	cli_json_unsigned(j, "waiting", s->door.waiting);
	cli_json_unsigned(j, "files", s->door.files);
	cli_json_close(j);
}

static void put_store(struct cli_json *j, const struct ekd_store_stats *s)
{
	cli_json_open(j, "store", '{');
	cli_json_unsigned(j, "blobs", s->blobs);
	cli_json_unsigned(j, "complete_blobs", s->complete_blobs);
	cli_json_unsigned(j, "bytes", s->bytes);
	cli_json_unsigned(j, "quota", s->quota);
	cli_json_unsigned(j, "fills", s->fills);
	cli_json_unsigned(j, "fill_bytes", s->fill_bytes);
	cli_json_unsigned(j, "refused_fills", s->refused_fills);
	cli_json_unsigned(j, "evicted_leaves", s->evicted_leaves);
	cli_json_unsigned(j, "checkpoints", s->checkpoints);
	cli_json_unsigned(j, "recovered_leaves", s->recovered_leaves);
	cli_json_unsigned(j, "dropped_leaves", s->dropped_leaves);
	cli_json_close(j);
}

static void put_fetch(struct cli_json *j, const struct ekd_fetch_stats *s)
{
	cli_json_open(j, "fetch", '{');
	cli_json_unsigned(j, "requests", s->requests);
	cli_json_unsigned(j, "retries", s->retries);
	cli_json_unsigned(j, "failures", s->failures);
	cli_json_unsigned(j, "bytes", s->bytes);
	cli_json_unsigned(j, "demand_requests", s->demand_requests);
	cli_json_unsigned(j, "auth_refreshes", s->auth_refreshes);
	cli_json_unsigned(j, "redirects", s->redirects);
	cli_json_close(j);
}

void ekd_report_daemon(const struct ekd_routes *routes, FILE *out)
{
	struct ekd_service_status s;
	struct cli_json j;

	ekd_service_status(routes->service, &s);
	cli_json_start(&j, out);
	cli_json_open(&j, NULL, '{');
	cli_json_text(&j, "version", PACKAGE_VERSION);
	cli_json_signed(&j, "pid", getpid());
	cli_json_unsigned(&j, "generation", routes->generation);
	cli_json_signed(&j, "started_ms", s.started_ms);
	cli_json_bool(&j, "holder", s.holder);
	cli_json_unsigned(&j, "images", s.images);
	cli_json_unsigned(&j, "lazy_images", s.lazy_images);
	put_door(&j, routes, &s);
	put_store(&j, &s.store);
	cli_json_open(&j, "serve", '{');
	cli_json_unsigned(&j, "memory", s.serve.memory);
	cli_json_unsigned(&j, "memory_peak", s.serve.memory_peak);
	cli_json_unsigned(&j, "waiting", s.serve.waiting);
	cli_json_unsigned(&j, "under_way", s.serve.under_way);
	cli_json_close(&j);
	put_fetch(&j, &s.fetch);
	cli_json_close(&j);
}

static void put_wait(void *arg, const struct ekd_wait *w)
{
	struct cli_json *j = arg;

	cli_json_open(j, NULL, '{');
	cli_json_unsigned(j, "pid", w->pid);
	cli_json_text(j, "blob", w->blob);
	cli_json_unsigned(j, "offset", w->offset);
	cli_json_unsigned(j, "bytes", w->n);
	cli_json_unsigned(j, "waits_ms", w->waits_ms);
	cli_json_unsigned(j, "left_ms", w->left_ms);
	cli_json_unsigned(j, "attempts", w->attempts);
	cli_json_text(j, "host", w->host);
	cli_json_text(j, "last_error", w->last_error);
	cli_json_close(j);
}

void ekd_report_waits(const struct ekd_routes *routes, uint32_t min_ms,
		      FILE *out)
{
	struct cli_json j;

	cli_json_start(&j, out);
	cli_json_open(&j, NULL, '{');
	cli_json_open(&j, "waits", '[');
	ekd_serve_waits(ekd_service_serve(routes->service), min_ms, put_wait,
			&j);
	cli_json_close(&j);
	cli_json_close(&j);
}

static void put_item(void *arg, const struct ekd_store_item *item)
{
	struct cli_json *j = arg;

	cli_json_open(j, NULL, '{');
	cli_json_text(j, "name", item->name);
	cli_json_unsigned(j, "size", item->size);
	cli_json_unsigned(j, "present", item->bytes);
	cli_json_bool(j, "in_use", item->open);
	cli_json_bool(j, "complete", item->complete);
	cli_json_close(j);
}

void ekd_report_blobs(const struct ekd_routes *routes, FILE *out)
{
	struct cli_json j;

	cli_json_start(&j, out);
	cli_json_open(&j, NULL, '{');
	cli_json_open(&j, "blobs", '[');
	ekd_store_list(ekd_service_store(routes->service), put_item, &j);
	cli_json_close(&j);
	cli_json_close(&j);
}

void ekd_report_hosts(const struct ekd_routes *routes, FILE *out)
{
	struct ekd_fetch_host hosts[HOSTS_MAX];
	struct cli_json j;
	size_t n;

	ekd_fetch_hosts(ekd_service_fetch(routes->service), hosts, HOSTS_MAX,
			&n);
	cli_json_start(&j, out);
	cli_json_open(&j, NULL, '{');
	cli_json_open(&j, "hosts", '[');
	for (size_t i = 0; i < n && i < HOSTS_MAX; i++) {
		cli_json_open(&j, NULL, '{');
		cli_json_text(&j, "host", hosts[i].host);
		cli_json_unsigned(&j, "requests", hosts[i].requests);
		cli_json_unsigned(&j, "failures", hosts[i].failures);
		cli_json_unsigned(&j, "bytes", hosts[i].bytes);
		cli_json_unsigned(&j, "running", hosts[i].running);
		cli_json_unsigned(&j, "last_ok_ms", hosts[i].last_ok_ms);
		cli_json_unsigned(&j, "last_error_ms", hosts[i].last_error_ms);
		cli_json_text(&j, "last_error", hosts[i].last_error);
		cli_json_close(&j);
	}
	cli_json_close(&j);
	cli_json_close(&j);
}
