/* SPDX-License-Identifier: Apache-2.0 */
#include "build/internal.h"

#include "base/try.h"
#include "format/dirent.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

ek_status ek_build_fail(const struct ek_tree_inode *inode, struct ek_err *err,
			ek_status status, const char *fmt, ...)
{
	char *path = inode->first ? ek_tree_path(inode->first) : NULL;
	char words[EK_ERR_TEXT];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	ek_fail(err, status, "%s: %s", path ? path : "?", words);
	free(path);
	return status;
}

static void set_time(const struct ek_build *b,
		     const struct ek_tree_inode *inode,
		     struct ek_build_attr *attr)
{
	const struct ek_build_options *o = &b->opt;
	bool fixed = o->time_mode == EK_TIME_ALL || o->ignore_mtime ||
		     o->inode_form == EK_FORM_COMPACT;

	if (o->time_mode == EK_TIME_CLAMP)
		fixed = fixed || ek_time_newer(inode->mtime, inode->mtime_nsec,
					       o->fixed_time, 0);
	attr->mtime = fixed ? b->sb.epoch : inode->mtime;
	attr->mtime_nsec = fixed ? b->sb.fixed_nsec : inode->mtime_nsec;
}

void ek_build_attr(const struct ek_build *b, const struct ek_tree_inode *inode,
		   struct ek_build_attr *attr)
{
	const struct ek_build_options *o = &b->opt;
	uint32_t uid = o->force_uid ? o->uid : inode->uid;
	uint32_t gid = o->force_gid ? o->gid : inode->gid;

	attr->uid = (uint32_t)(uid + o->uid_offset);
	attr->gid = (uint32_t)(gid + o->gid_offset);
	set_time(b, inode, attr);
}

static bool id_ok(uint32_t id, int64_t offset)
{
	int64_t sum;

	return !__builtin_add_overflow((int64_t)id, offset, &sum) && sum >= 0 &&
	       sum <= UINT32_MAX;
}

static ek_status check_ids(const struct ek_build *b,
			   const struct ek_tree_inode *inode,
			   struct ek_err *err)
{
	const struct ek_build_options *o = &b->opt;

	if (!id_ok(o->force_uid ? o->uid : inode->uid, o->uid_offset))
		return ek_build_fail(inode, err, EK_INVALID,
				     "uid with offset %" PRId64
				     " is not a 32-bit number",
				     o->uid_offset);
	if (!id_ok(o->force_gid ? o->gid : inode->gid, o->gid_offset))
		return ek_build_fail(inode, err, EK_INVALID,
				     "gid with offset %" PRId64
				     " is not a 32-bit number",
				     o->gid_offset);
	return EK_OK;
}

static ek_status choose_form(struct ek_build *b,
			     const struct ek_tree_inode *inode,
			     struct ek_plan *plan, struct ek_err *err)
{
	struct ek_inode in;
	uint32_t why;

	ek_build_inode_fill(b, inode, &in);
	why = ek_inode_why_extended(&b->sb, &in);
	plan->extended = why || b->opt.inode_form == EK_FORM_EXTENDED;
	if (!why || b->opt.inode_form != EK_FORM_COMPACT)
		return EK_OK;
	return ek_build_fail(inode, err, EK_LIMIT,
			     "cannot be a compact inode: its %s does not fit",
			     why & EK_EXT_SIZE	  ? "size"
			     : why & EK_EXT_OWNER ? "owner"
			     : why & EK_EXT_NLINK ? "number of links"
						  : "time");
}

static ek_status check_inode(const struct ek_tree_inode *inode,
			     struct ek_err *err)
{
	if (ek_ftype_of_mode((uint16_t)inode->mode) && inode->size <= INT64_MAX)
		return EK_OK;
	return ek_build_fail(inode, err, EK_INVALID,
			     "mode 0%" PRIo32 " with size %" PRIu64
			     " cannot be stored",
			     inode->mode, inode->size);
}

static ek_status plan_data(struct ek_build *b, struct ek_tree_inode *inode,
			   struct ek_plan *plan, struct ek_err *err)
{
	if (!S_ISREG(inode->mode))
		return EK_OK;
	b->total_bytes += inode->size;
	if (inode->size == 0)
		return EK_OK;
	EK_TRY(ek_codecs_plan(b, inode, plan, err));
	if (b->opt.index)
		EK_TRY(ek_index_plan(b, inode, &plan->indexed, err));
	if (plan->indexed)
		return EK_OK;
	if (b->opt.index) {
		b->stats->copied_files++;
		b->stats->copied_bytes += inode->size;
	}
	return ek_sparse_plan(b, inode, &plan->sparse, err);
}

ek_status ek_build_plan(struct ek_build *b, struct ek_err *err)
{
	const struct ek_tree *tree = b->tree;

	EK_TRY(ek_build_epoch(b, err));
	ek_sparse_init(b);
	EK_TRY(ek_shares_make(b, err));
	for (uint32_t i = 0; i < tree->n_inodes; i++) {
		struct ek_tree_inode *inode = tree->inodes[i];
		struct ek_plan *plan = &b->plans[i];

		EK_BUG_ON(inode->index != i);
		inode->plan = plan;
		EK_TRY(check_inode(inode, err));
		EK_TRY(check_ids(b, inode, err));
		EK_TRY(ek_build_xattr_size(b, inode, &plan->xsize, err));
		if (S_ISDIR(inode->mode))
			plan->size = ek_dir_size(b, inode->first);
		EK_TRY(choose_form(b, inode, plan, err));
		EK_TRY(plan_data(b, inode, plan, err));
	}
	return EK_OK;
}

bool ek_build_tail_ok(const struct ek_build *b,
		      const struct ek_tree_inode *inode, uint64_t len)
{
	if (len == 0 || (S_ISREG(inode->mode) && b->opt.no_inline_data))
		return false;
	return ek_plan_head(inode->plan) + len <= b->bs;
}
