/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Messages and their bytes. One walk over the fields serves both ways, so that
 * they cannot differ. A message of an op has one length and no other.
 */

#include "base/bytes.h"
#include "base/try.h"
#include "cachefilesd/holder/protocol.h"

#include <string.h>

#define MAGIC	   0x31484b45u /* "EKH1" */
#define HEADER	   32u
#define FLAG_REPLY 1u
#define SOURCE	   (4u + EKD_FILE)
#define MOUNT	   (EKD_ID + EKD_PATH + 8u + (1u + EKD_DEVICES) * SOURCE)

_Static_assert(HEADER + 8 + MOUNT <= EKD_MESSAGE, "a message fits");

/* A place in the bytes; in: read from there, else: write there. */
struct walk {
	uint8_t *at;
	bool in, bad;
	const char *what; /* the first field that is not as it may be */
};

static void fail(struct walk *w, const char *what)
{
	if (!w->bad)
		w->what = what;
	w->bad = true;
}

static void must(struct walk *w, bool ok, const char *what)
{
	if (!ok)
		fail(w, what);
}

static void walk_u32(struct walk *w, uint32_t *v, uint32_t max,
		     const char *what)
{
	if (w->in)
		*v = ek_get_le32(w->at);
	else
		ek_put_le32(w->at, *v);
	w->at += 4;
	must(w, *v <= max, what);
}

/* @n bytes with a NUL; whatever is behind it is 0. */
static void walk_text(struct walk *w, char *text, size_t n, const char *what)
{
	size_t len;

	if (w->in)
		memcpy(text, w->at, n);
	len = strnlen(text, n);
	if (len == n) {
		fail(w, what);
		len = n - 1;
		if (w->in)
			text[len] = 0;
	}
	if (w->in) {
		for (size_t i = len; i < n; i++)
			must(w, w->at[i] == 0, what);
	} else {
		memset(w->at, 0, n);
		memcpy(w->at, text, len);
	}
	w->at += n;
}

static void walk_id(struct walk *w, char *id, const char *what)
{
	walk_text(w, id, EKD_ID, what);
	must(w, ekd_id_ok(id), what);
}

static void walk_source(struct walk *w, struct ekd_source *source, bool used,
			const char *what)
{
	walk_u32(w, &source->place, EKD_PLACE_STORE, what);
	walk_text(w, source->name, EKD_FILE, what);
	must(w, ekd_source_ok(source), what);
	must(w, used == (source->place != EKD_PLACE_NONE), what);
}

static void walk_mount(struct walk *w, struct ekd_mount *mount)
{
	walk_id(w, mount->id, "id");
	walk_text(w, mount->target, EKD_PATH, "target");
	walk_u32(w, &mount->flags, 7, "flags");
	if (mount->flags & EKD_MOUNT_LAYER)
		must(w, mount->target[0] == 0, "target");
	else
		must(w, ekd_path_ok(mount->target), "target");
	walk_u32(w, &mount->n_devices, EKD_DEVICES, "number of devices");
	walk_source(w, &mount->primary, true, "primary");
	for (uint32_t i = 0; i < EKD_DEVICES; i++)
		walk_source(w, &mount->devices[i], i < mount->n_devices,
			    "device");
}

static void walk_overlay(struct walk *w, struct ekd_overlay *overlay)
{
	walk_id(w, overlay->id, "id");
	walk_text(w, overlay->target, EKD_PATH, "target");
	must(w, ekd_path_ok(overlay->target), "target");
	walk_u32(w, &overlay->flags, 3, "flags");
	walk_u32(w, &overlay->n_lowers, EKD_LOWERS, "number of layers");
	must(w, overlay->n_lowers > 0, "number of layers");
	for (uint32_t i = 0; i < EKD_LOWERS; i++) {
		walk_text(w, overlay->lowers[i], EKD_ID, "layer");
		must(w,
		     i < overlay->n_lowers ? ekd_id_ok(overlay->lowers[i])
					   : overlay->lowers[i][0] == 0,
		     "layer");
	}
}

static void walk_mounted(struct walk *w, struct ekd_mounted *mounted)
{
	uint32_t kind = w->in ? 0 : mounted->is_overlay;
	uint32_t alive = w->in ? 0 : mounted->alive;
	uint8_t *start;

	walk_u32(w, &kind, 1, "kind");
	walk_u32(w, &alive, 1, "alive");
	mounted->is_overlay = kind == 1;
	mounted->alive = alive == 1;
	start = w->at;
	if (!mounted->is_overlay) {
		walk_mount(w, &mounted->mount);
		return;
	}
	walk_overlay(w, &mounted->overlay);
	for (; w->at < start + MOUNT; w->at++) {
		if (w->in)
			must(w, *w->at == 0, "padding");
		else
			*w->at = 0;
	}
}

/* Bytes of the body; SIZE_MAX: no such message. */
static size_t body_size(uint32_t op, bool reply, bool failed)
{
	if (failed)
		return reply ? EKD_TEXT : SIZE_MAX;
	switch (op) {
	case EKD_OP_READY:
	case EKD_OP_KEEP:
	case EKD_OP_DROP:
	case EKD_OP_STOP:
		return 0;
	case EKD_OP_OPEN:
		return reply ? 0 : EKD_PATH;
	case EKD_OP_MOUNT:
		return reply ? 0 : MOUNT;
	case EKD_OP_OVERLAY:
		return reply ? 0 : EKD_ID + EKD_PATH + 8 + EKD_LOWERS * EKD_ID;
	case EKD_OP_UMOUNT:
		return reply ? 0 : EKD_ID + 4;
	case EKD_OP_MOUNTS:
		return reply ? 8 + MOUNT : EKD_ID;
	case EKD_OP_CREDENTIALS:
		return reply ? EKD_SECRET : EKD_HOST;
	case EKD_OP_TAKE:
		return reply ? 12 : 0;
	case EKD_OP_CONN:
	case EKD_OP_CONFIG:
	case EKD_OP_QUIT:
	case EKD_OP_DONE:
		return reply ? SIZE_MAX : 0;
	default:
		return SIZE_MAX;
	}
}

static void walk_hand(struct walk *w, struct ekd_message *m)
{
	walk_u32(w, &m->hand.role, EKD_ROLE_WORKER, "role");
	must(w, m->hand.role > 0, "role");
	walk_u32(w, &m->hand.pid, INT32_MAX, "pid");
	walk_u32(w, &m->hand.conns, EKD_CONNS, "number of connections");
}

static void walk_request(struct walk *w, struct ekd_message *m)
{
	switch (m->op) {
	case EKD_OP_OPEN:
		walk_text(w, m->path, EKD_PATH, "path");
		must(w, ekd_path_ok(m->path), "path");
		break;
	case EKD_OP_MOUNT:
		walk_mount(w, &m->mount);
		break;
	case EKD_OP_OVERLAY:
		walk_overlay(w, &m->overlay);
		break;
	case EKD_OP_UMOUNT:
		walk_id(w, m->umount.id, "id");
		walk_u32(w, &m->umount.flags, EKD_UMOUNT_LAZY, "flags");
		break;
	case EKD_OP_MOUNTS:
		walk_text(w, m->after, EKD_ID, "id");
		must(w, !m->after[0] || ekd_id_ok(m->after), "id");
		break;
	case EKD_OP_CREDENTIALS:
		walk_text(w, m->host, EKD_HOST, "host");
		must(w, ekd_host_ok(m->host), "host");
		break;
	default:
		break;
	}
}

static void walk_reply(struct walk *w, struct ekd_message *m)
{
	if (m->status != EK_OK)
		walk_text(w, m->text, EKD_TEXT, "text");
	else if (m->op == EKD_OP_MOUNTS)
		walk_mounted(w, &m->mounted);
	else if (m->op == EKD_OP_CREDENTIALS)
		walk_text(w, m->secret, EKD_SECRET, "secret");
	else if (m->op == EKD_OP_TAKE)
		walk_hand(w, m);
}

static bool value_ok(const struct ekd_message *m)
{
	if (m->reply)
		return m->value == 0;
	switch (m->op) {
	case EKD_OP_KEEP:
	case EKD_OP_DROP:
	case EKD_OP_CONN:
		return m->value != 0;
	case EKD_OP_STOP:
		return m->value <= EKD_STOP_KEEP;
	case EKD_OP_TAKE:
		return m->value <= EKD_TAKE_UPGRADE;
	default:
		return m->value == 0;
	}
}

ek_status ekd_message_encode(const struct ekd_message *message, uint8_t *to,
			     size_t *n, struct ek_err *err)
{
	/* The walk only reads it. */
	union {
		const struct ekd_message *from;
		struct ekd_message *m;
	} u = {.from = message};
	bool failed = message->status != EK_OK;
	size_t body = body_size(message->op, message->reply, failed);
	struct walk w = {.at = to + HEADER};

	*n = 0;
	if (body == SIZE_MAX || !value_ok(message))
		return ek_fail(err, EK_INVALID, "no such message");
	ek_put_le32(to, MAGIC);
	ek_put_le16(to + 4, (uint16_t)message->op);
	ek_put_le16(to + 6, message->reply ? FLAG_REPLY : 0);
	ek_put_le32(to + 8, message->seq);
	ek_put_le32(to + 12, (uint32_t)(HEADER + body));
	ek_put_le32(to + 16, (uint32_t)message->status);
	ek_put_le32(to + 20, (uint32_t)message->sys);
	ek_put_le64(to + 24, message->value);
	if (message->reply)
		walk_reply(&w, u.m);
	else
		walk_request(&w, u.m);
	if (w.bad)
		return ek_fail(err, EK_INVALID, "message: %s", w.what);
	*n = HEADER + body;
	return EK_OK;
}

static ek_status decode_header(const uint8_t *bytes, size_t n,
			       struct ekd_message *m, struct ek_err *err)
{
	uint16_t flags;
	size_t body;
	int status;

	if (n < HEADER || n > EKD_MESSAGE || ek_get_le32(bytes) != MAGIC)
		return ek_fail(err, EK_CORRUPT, "not a message");
	m->op = ek_get_le16(bytes + 4);
	flags = ek_get_le16(bytes + 6);
	m->reply = flags & FLAG_REPLY;
	m->seq = ek_get_le32(bytes + 8);
	status = (int)ek_get_le32(bytes + 16);
	m->sys = (int)ek_get_le32(bytes + 20);
	m->value = ek_get_le64(bytes + 24);
	if (flags > FLAG_REPLY)
		return ek_fail(err, EK_CORRUPT, "message: flags");
	if (status > 0 || status < EK_DIFFERS || (!m->reply && status) ||
	    m->sys < 0 || m->sys > 4095 || (!status && m->sys))
		return ek_fail(err, EK_CORRUPT, "message: status");
	m->status = (ek_status)status;
	body = body_size(m->op, m->reply, status != 0);
	if (body == SIZE_MAX)
		return ek_fail(err, EK_CORRUPT, "message: operation %u",
			       (unsigned)m->op);
	if (n != HEADER + body || ek_get_le32(bytes + 12) != n)
		return ek_fail(err, EK_CORRUPT, "message: length %zu", n);
	if (!value_ok(m))
		return ek_fail(err, EK_CORRUPT, "message: value");
	return EK_OK;
}

ek_status ekd_message_decode(const uint8_t *bytes, size_t n,
			     struct ekd_message *message, struct ek_err *err)
{
	union {
		const uint8_t *from;
		uint8_t *at;
	} u = {.from = bytes};
	struct walk w = {.in = true};

	EK_TRY(decode_header(bytes, n, message, err));
	w.at = u.at + HEADER;
	if (message->reply)
		walk_reply(&w, message);
	else
		walk_request(&w, message);
	if (w.bad)
		return ek_fail(err, EK_CORRUPT, "message: %s", w.what);
	return EK_OK;
}
