/* SPDX-License-Identifier: Apache-2.0 */
#include "tar/reader.h"

#include "base/bytes.h"
#include "base/try.h"

#include <string.h>

/*
 * new -> next* (read* after each) -> end or failure -> free. A failure ends
 * the archive: next then gives NULL.
 */

ek_status ek_tar_open(struct ek_tar_input *in, const char *name,
		      const struct ek_tar_options *options, struct ek_tar **tar,
		      struct ek_err *err)
{
	struct ek_tar *t = calloc(1, sizeof(*t));

	if (!t || !(t->name = strdup(name))) {
		free(t);
		return ek_fail(err, EK_NOMEM, "no memory for a tar");
	}
	t->in = in;
	t->headers_only = options && options->headers_only;
	*tar = t;
	return EK_OK;
}

void ek_tar_free(struct ek_tar *tar)
{
	if (!tar)
		return;
	ek_pax_clear(&tar->local);
	ek_pax_clear(&tar->global);
	ek_vec_free(&tar->segments);
	ek_vec_free(&tar->xattrs);
	free(tar->long_path);
	free(tar->long_link);
	free(tar->window);
	free(tar->name);
	free(tar);
}

uint64_t ek_tar_offset(const struct ek_tar *tar)
{
	return tar->offset;
}

bool ek_tar_trailing(const struct ek_tar *tar)
{
	return tar->trailing;
}

/* Read the data of a header that speaks of the next member. */
static ek_status header_data(struct ek_tar *tar, uint64_t size, uint8_t **data,
			     struct ek_err *err)
{
	uint64_t pad = ek_round_up(size, EK_TAR_BLOCK) - size;

	*data = malloc((size_t)size + 1);
	if (!*data)
		return ek_fail(err, EK_NOMEM, "no memory for a header");
	(*data)[size] = 0;
	EK_TRY(ek_tar_take(tar, *data, (size_t)size, err));
	return ek_tar_pass(tar, pad, err);
}

/* 'x' (Solaris: 'X'), 'g', 'L', 'K': facts about members to come. */
static ek_status take_extended(struct ek_tar *tar, struct ek_err *err)
{
	const struct ek_tar_header *h = &tar->header;
	EK_AUTO_FREE uint8_t *data = NULL;
	char **text = h->typeflag == 'L' ? &tar->long_path : &tar->long_link;

	EK_TRY(header_data(tar, h->size, &data, err));
	if (h->typeflag == 'x' || h->typeflag == 'X' || h->typeflag == 'g')
		return ek_pax_parse(h->typeflag == 'g' ? &tar->global
						       : &tar->local,
				    data, (size_t)h->size, err);
	if (strlen((char *)data) > EK_TAR_PATH_MAX)
		return ek_fail(err, EK_LIMIT, "path of more than %u bytes",
			       EK_TAR_PATH_MAX);
	free(*text);
	*text = (char *)data;
	data = NULL;
	return EK_OK;
}

/*
 * Blocks of zeros end an archive, but another may follow (tar -A, cat): go on
 * to the next block that is not zero, and take it when it is a header.
 */
static ek_status after_zeros(struct ek_tar *tar, uint8_t *block, bool *end,
			     struct ek_err *err)
{
	size_t got = 0;

	do {
		EK_TRY(ek_tar_take_some(tar, block, EK_TAR_BLOCK, &got, err));
		if (got < EK_TAR_BLOCK) {
			tar->trailing |= !ek_all_zero(block, got);
			*end = true;
			return EK_OK;
		}
	} while (ek_all_zero(block, EK_TAR_BLOCK));
	*end = !ek_tar_checksum_ok(block);
	tar->trailing |= *end;
	return EK_OK;
}

/* The next header block, or *end. */
static ek_status next_block(struct ek_tar *tar, uint8_t *block, bool *end,
			    struct ek_err *err)
{
	size_t got = 0;

	EK_TRY(ek_tar_take_some(tar, block, EK_TAR_BLOCK, &got, err));
	*end = false;
	if (!got && !tar->any)
		return ek_fail(err, EK_CORRUPT, "empty: not a tar archive");
	if (!got) {
		*end = true;
		return EK_OK;
	}
	if (got < EK_TAR_BLOCK)
		return ek_fail(err, EK_CORRUPT,
			       tar->any ? "the archive is cut"
					: "not a tar archive");
	tar->any = true;
	return ek_all_zero(block, EK_TAR_BLOCK)
		       ? after_zeros(tar, block, end, err)
		       : EK_OK;
}

static void forget_member(struct ek_tar *tar)
{
	ek_pax_clear(&tar->local);
	free(tar->long_path);
	free(tar->long_link);
	tar->long_path = tar->long_link = NULL;
	tar->segments.n = 0;
	tar->xattrs.n = 0;
	memset(&tar->entry, 0, sizeof(tar->entry));
}

static enum ek_tar_type type_of(char flag)
{
	switch (flag) {
	case 0:
	case '0':
	case '7':
	case 'S':
		return EK_TAR_FILE;
	case '1':
		return EK_TAR_HARDLINK;
	case '2':
		return EK_TAR_SYMLINK;
	case '3':
		return EK_TAR_CHAR_DEVICE;
	case '4':
		return EK_TAR_BLOCK_DEVICE;
	case '5':
	case 'D': /* GNU incremental: a directory with a list as data */
		return EK_TAR_DIRECTORY;
	case '6':
		return EK_TAR_FIFO;
	case 'V':
		return EK_TAR_LABEL;
	default:
		return EK_TAR_OTHER;
	}
}

/* The one that speaks: local records beat global ones. */
#define SPEAKS(tar, field)                                                     \
	((tar)->local.field.state != EK_PAX_UNSET ? &(tar)->local.field        \
						  : &(tar)->global.field)

static const char *text_of(const struct ek_pax_text *pax, const char *gnu,
			   const char *header)
{
	if (pax->state == EK_PAX_SET)
		return pax->text;
	return gnu ? gnu : header;
}

static uint64_t number_of(const struct ek_pax_number *pax, uint64_t header)
{
	return pax->state == EK_PAX_SET ? pax->value : header;
}

static ek_status times_and_owner(struct ek_tar *tar, struct ek_err *err)
{
	struct ek_tar_entry *e = &tar->entry;
	const struct ek_tar_header *h = &tar->header;
	const struct ek_pax *t =
		tar->local.mtime_state ? &tar->local : &tar->global;
	uint64_t uid = number_of(SPEAKS(tar, uid), h->uid);
	uint64_t gid = number_of(SPEAKS(tar, gid), h->gid);

	if (uid > UINT32_MAX || gid > UINT32_MAX)
		return ek_fail(err, EK_CORRUPT, "owner beyond 32 bits");
	e->uid = (uint32_t)uid;
	e->gid = (uint32_t)gid;
	e->mode = (uint32_t)(h->mode & 07777);
	e->mtime = h->mtime;
	if (t->mtime_state == EK_PAX_SET) {
		e->mtime = t->mtime;
		e->mtime_nsec = t->mtime_nsec;
	}
	return EK_OK;
}

static ek_status devices(struct ek_tar *tar, struct ek_err *err)
{
	const struct ek_tar_header *h = &tar->header;

	/* The kernel's dev_t: 12 bits of major, 20 of minor. */
	if (h->major > 0xfff || h->minor > 0xfffff)
		return ek_fail(err, EK_CORRUPT, "device number %llu:%llu",
			       (unsigned long long)h->major,
			       (unsigned long long)h->minor);
	tar->entry.rdev_major = (uint32_t)h->major;
	tar->entry.rdev_minor = (uint32_t)h->minor;
	return EK_OK;
}

static ek_status add_xattrs(struct ek_tar *tar, const struct ek_pax *pax,
			    struct ek_err *err)
{
	for (size_t i = 0; i < pax->xattrs.n; i++) {
		const struct ek_pax_xattr *from = &pax->xattrs.at[i];
		struct ek_tar_xattr x = {from->name, from->value,
					 from->value_len};
		size_t k = 0;

		while (k < tar->xattrs.n &&
		       strcmp(tar->xattrs.at[k].name, x.name))
			k++;
		if (k < tar->xattrs.n)
			tar->xattrs.at[k] = x;
		else
			EK_TRY(ek_vec_push(&tar->xattrs, x, EK_TAR_XATTRS_MAX,
					   err));
	}
	return EK_OK;
}

/*
 * Of these no data follow, whatever their size says: some writers leave a
 * link's or a device's there, and a directory's may be the room it may take.
 */
static bool header_alone(const struct ek_tar_entry *e)
{
	switch (e->type) {
	case EK_TAR_HARDLINK:
	case EK_TAR_SYMLINK:
	case EK_TAR_CHAR_DEVICE:
	case EK_TAR_BLOCK_DEVICE:
	case EK_TAR_FIFO:
		return true;
	case EK_TAR_DIRECTORY:
		return e->typeflag != 'D';
	default:
		return false;
	}
}

/* Sizes and places of the data; reads the maps of sparse members. */
static ek_status data_facts(struct ek_tar *tar, const uint8_t *block,
			    struct ek_err *err)
{
	struct ek_tar_entry *e = &tar->entry;
	const struct ek_pax *sparse = NULL;
	uint64_t stored = number_of(SPEAKS(tar, size), tar->header.size);

	if (header_alone(e))
		stored = 0;
	if (tar->headers_only && e->type == EK_TAR_FILE) {
		e->size = stored;
		e->data_offset = tar->offset;
		return EK_OK;
	}
	if (stored > INT64_MAX - EK_TAR_BLOCK)
		return ek_fail(err, EK_CORRUPT, "absurd size");
	e->stored_size = stored;
	e->data_offset = tar->offset;
	tar->padding = ek_round_up(stored, EK_TAR_BLOCK) - stored;
	if (e->type == EK_TAR_FILE) {
		e->size = stored;
		if (tar->local.sparse_map ||
		    tar->local.sparse_major.state == EK_PAX_SET)
			sparse = &tar->local;
		if (sparse)
			EK_TRY(ek_tar_sparse_pax(tar, sparse, err));
		else if (tar->header.typeflag == 'S')
			EK_TRY(ek_tar_sparse_old(tar, block, err));
	}
	tar->left = e->stored_size;
	return EK_OK;
}

static bool plain_file(char flag)
{
	return flag == 0 || flag == '0' || flag == '7';
}

static ek_status make_entry(struct ek_tar *tar, const uint8_t *block,
			    struct ek_err *err)
{
	struct ek_tar_entry *e = &tar->entry;
	const struct ek_tar_header *h = &tar->header;
	const struct ek_pax_text *path = SPEAKS(tar, path);

	e->typeflag = h->typeflag;
	e->type = type_of(h->typeflag);
	if (tar->local.sparse_name.state == EK_PAX_SET)
		path = &tar->local.sparse_name;
	e->path = text_of(path, tar->long_path, h->path);
	e->link = text_of(SPEAKS(tar, link), tar->long_link, h->link);
	/* Before ustar had a letter for them, directories ended in '/'. */
	if (plain_file(h->typeflag) && *e->path &&
	    e->path[strlen(e->path) - 1] == '/')
		e->type = EK_TAR_DIRECTORY;
	e->dropped = tar->local.dropped + tar->global.dropped;
	EK_TRY(times_and_owner(tar, err));
	if (e->type == EK_TAR_CHAR_DEVICE || e->type == EK_TAR_BLOCK_DEVICE)
		EK_TRY(devices(tar, err));
	EK_TRY(add_xattrs(tar, &tar->global, err));
	EK_TRY(add_xattrs(tar, &tar->local, err));
	e->xattrs = tar->xattrs.at;
	e->n_xattrs = tar->xattrs.n;
	return data_facts(tar, block, err);
}

static bool is_extended(char flag)
{
	return flag == 'x' || flag == 'X' || flag == 'g' || flag == 'L' ||
	       flag == 'K';
}

static ek_status find_member(struct ek_tar *tar, bool *end, struct ek_err *err)
{
	uint8_t block[EK_TAR_BLOCK];
	uint64_t first = tar->offset, budget = EK_TAR_HEADERS_MAX;
	bool pending = false;

	for (;;) {
		EK_TRY(next_block(tar, block, end, err));
		if (*end && pending)
			return ek_fail(err, EK_CORRUPT, "the archive is cut");
		if (*end)
			return EK_OK;
		if (!pending)
			first = tar->offset - EK_TAR_BLOCK;
		if (tar->offset == EK_TAR_BLOCK && !ek_tar_checksum_ok(block))
			return ek_fail(err, EK_CORRUPT,
				       "not a tar archive, nor one packed by "
				       "gzip, xz or zstd");
		EK_TRY(ek_tar_header_decode(block, &tar->header, err));
		if (!is_extended(tar->header.typeflag))
			break;
		if (tar->header.size > budget - EK_TAR_BLOCK)
			return ek_fail(err, EK_LIMIT,
				       "more than %u bytes of headers for one "
				       "member",
				       EK_TAR_HEADERS_MAX);
		budget -= tar->header.size + EK_TAR_BLOCK;
		if (budget < EK_TAR_BLOCK)
			budget = EK_TAR_BLOCK;
		EK_TRY(take_extended(tar, err));
		/* A global header may be the last thing of an archive. */
		pending |= tar->header.typeflag != 'g';
	}
	tar->entry.header_offset = first;
	return make_entry(tar, block, err);
}

static ek_status fail_at(struct ek_tar *tar, uint64_t at, struct ek_err *err)
{
	tar->ended = true;
	return ek_err_prefix(err, "%s: member at byte %llu", tar->name,
			     (unsigned long long)at);
}

/*
 * Pass over the rest of the current member. Its data must be there; the
 * padding of the last member need not: writers that are never closed (umoci
 * insert) leave it out, and readers of Go take that.
 */
static ek_status leave_member(struct ek_tar *tar, bool *end, struct ek_err *err)
{
	uint8_t padding[EK_TAR_BLOCK];
	size_t got = 0;

	EK_TRY(ek_tar_pass(tar, tar->left, err));
	EK_TRY(ek_tar_take_some(tar, padding, (size_t)tar->padding, &got, err));
	*end = got < tar->padding;
	tar->left = tar->padding = 0;
	return EK_OK;
}

ek_status ek_tar_next(struct ek_tar *tar, const struct ek_tar_entry **entry,
		      struct ek_err *err)
{
	struct ek_err own;
	uint64_t at = tar->offset;
	bool end = false;

	if (!err)
		err = &own;
	*entry = NULL;
	if (tar->ended)
		return EK_OK;
	if (leave_member(tar, &end, err) != EK_OK)
		return fail_at(tar, tar->entry.header_offset, err);
	forget_member(tar);
	at = tar->offset;
	if (!end && find_member(tar, &end, err) != EK_OK)
		return fail_at(tar, at, err);
	tar->ended = end;
	if (!end)
		*entry = &tar->entry;
	return EK_OK;
}

ek_status ek_tar_read(struct ek_tar *tar, void *to, size_t n, size_t *got,
		      struct ek_err *err)
{
	struct ek_err own;

	if (!err)
		err = &own;
	*got = (size_t)ek_min(n, tar->left);
	if (ek_tar_take(tar, to, *got, err) != EK_OK) {
		*got = 0;
		return fail_at(tar, tar->entry.header_offset, err);
	}
	tar->left -= *got;
	return EK_OK;
}
