/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Recording a trace: which leaves were touched, each once, in order. Ranges
 * that follow each other become one.
 */

#include "cachefilesd/serve/priv.h"
#include "cachefilesd/serve/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct recorded {
	uint32_t leaf_size;
	uint8_t *touched; /* bits */
};

struct ekd_trace {
	pthread_mutex_t lock; /* taken within a blob's touch_lock */
	struct ekd_trace_file file;
	struct recorded *recorded; /* beside file.blobs */
	size_t room;		   /* of file.ranges */
};

ek_status ekd_trace_new(struct ekd_trace **trace, struct ek_err *err)
{
	struct ekd_trace *t = calloc(1, sizeof(*t));

	if (t) {
		t->file.blobs = calloc(EKD_TRACE_BLOBS, sizeof(*t->file.blobs));
		t->recorded = calloc(EKD_TRACE_BLOBS, sizeof(*t->recorded));
	}
	if (!t || !t->file.blobs || !t->recorded) {
		if (t) {
			free(t->file.blobs);
			free(t->recorded);
		}
		free(t);
		return ek_fail(err, EK_NOMEM, "no memory for a trace");
	}
	pthread_mutex_init(&t->lock, NULL);
	*trace = t;
	return EK_OK;
}

void ekd_trace_free(struct ekd_trace *t)
{
	if (!t)
		return;
	for (uint32_t i = 0; i < t->file.n_blobs; i++)
		free(t->recorded[i].touched);
	free(t->recorded);
	ekd_trace_forget(&t->file);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* Number *index for the blob of @s; one that is known keeps its own. */
static ek_status add_blob(struct ekd_trace *t, const struct ekd_served *s,
			  uint32_t *index, struct ek_err *err)
{
	const char *name = ekd_blob_name(s->blob);
	uint32_t i = 0;

	while (i < t->file.n_blobs && strcmp(t->file.blobs[i].name, name) != 0)
		i++;
	*index = i;
	if (i < t->file.n_blobs) {
		if (t->file.blobs[i].size != s->leaves->blob_size ||
		    t->recorded[i].leaf_size != s->leaves->leaf_size)
			return ek_fail(err, EK_DIFFERS,
				       "%s is not what the trace knows", name);
		return EK_OK;
	}
	if (i == EKD_TRACE_BLOBS)
		return ek_fail(err, EK_LIMIT, "a trace of more than %u blobs",
			       EKD_TRACE_BLOBS);
	t->recorded[i].touched = calloc(1, s->leaves->n / 8 + 1);
	if (!t->recorded[i].touched)
		return ek_fail(err, EK_NOMEM, "no memory for a trace");
	t->recorded[i].leaf_size = s->leaves->leaf_size;
	snprintf(t->file.blobs[i].name, sizeof(t->file.blobs[i].name), "%s",
		 name);
	t->file.blobs[i].size = s->leaves->blob_size;
	t->file.n_blobs++;
	return EK_OK;
}

ek_status ekd_served_record(struct ekd_served *s, struct ekd_trace *trace,
			    struct ek_err *err)
{
	ek_status status = EK_OK;
	uint32_t index = 0;

	if (trace) {
		pthread_mutex_lock(&trace->lock);
		status = add_blob(trace, s, &index, err);
		pthread_mutex_unlock(&trace->lock);
	}
	if (status != EK_OK)
		return status;
	pthread_mutex_lock(&s->touch_lock);
	atomic_store(&s->trace, trace);
	s->trace_index = index;
	pthread_mutex_unlock(&s->touch_lock);
	return EK_OK;
}

/* Room for one more range; a trace that is full or has no memory ends. */
static bool make_room(struct ekd_trace *t)
{
	struct ekd_trace_range *p;
	size_t room;

	if (t->file.n_ranges < t->room)
		return true;
	if (t->room >= EKD_TRACE_RANGES)
		return false;
	room = t->room ? 2 * t->room : 256;
	p = realloc(t->file.ranges, room * sizeof(*p));
	if (!p)
		return false;
	t->file.ranges = p;
	t->room = room;
	return true;
}

static void add_leaf(struct ekd_trace *t, uint32_t index, uint64_t leaf)
{
	struct recorded *c = &t->recorded[index];
	uint64_t size = t->file.blobs[index].size;
	uint64_t offset = leaf * c->leaf_size;
	uint64_t n =
		size - offset < c->leaf_size ? size - offset : c->leaf_size;
	uint8_t bit = (uint8_t)(1u << leaf % 8);
	struct ekd_trace_range *last = NULL;

	if (c->touched[leaf / 8] & bit)
		return;
	c->touched[leaf / 8] |= bit;
	if (t->file.n_ranges)
		last = t->file.ranges + t->file.n_ranges - 1;
	if (last && last->blob == index && last->offset + last->n == offset) {
		last->n += n;
		return;
	}
	if (!make_room(t))
		return;
	t->file.ranges[t->file.n_ranges++] = (struct ekd_trace_range){
		.blob = index, .offset = offset, .n = n};
}

void ekd_trace_note(struct ekd_trace *t, uint32_t index, uint64_t offset,
		    size_t n)
{
	uint64_t leaf, end;

	pthread_mutex_lock(&t->lock);
	leaf = offset / t->recorded[index].leaf_size;
	end = (offset + n - 1) / t->recorded[index].leaf_size + 1;
	for (; leaf < end; leaf++)
		add_leaf(t, index, leaf);
	pthread_mutex_unlock(&t->lock);
}

ek_status ekd_trace_text(struct ekd_trace *t, char **text, size_t *n,
			 struct ek_err *err)
{
	ek_status status;

	pthread_mutex_lock(&t->lock);
	status = ekd_trace_print(&t->file, text, n, err);
	pthread_mutex_unlock(&t->lock);
	return status;
}
