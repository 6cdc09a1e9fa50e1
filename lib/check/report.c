/* SPDX-License-Identifier: Apache-2.0 */
#include "check/check.h"
#include "base/try.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define WORDS_MAX 1024

static void prepend(char **at, const char *name)
{
	size_t n = strlen(name);

	*at -= n;
	memcpy(*at, name, n);
	*--*at = '/';
}

char *ck_path(const struct ck *ck, uint32_t owner, const char *name)
{
	size_t n = name ? strlen(name) + 1 : 0;
	const struct ck_inode *inode;
	char *path, *at;
	uint32_t i;

	if (owner == CK_NOBODY)
		return NULL;
	/* Inodes outside of the tree have a word instead of a path. */
	inode = &ck->inodes.at[owner];
	if (inode->parent == CK_NOBODY && *inode->name && !name &&
	    *inode->name == '<')
		return strdup(inode->name);
	for (i = owner; i != CK_NOBODY; i = ck->inodes.at[i].parent)
		n += strlen(ck->inodes.at[i].name) + 1;
	path = malloc(n + 2);
	if (!path)
		return NULL;
	at = path + n + 1;
	*at = '\0';
	if (name)
		prepend(&at, name);
	for (i = owner; i != CK_NOBODY; i = ck->inodes.at[i].parent)
		if (*ck->inodes.at[i].name)
			prepend(&at, ck->inodes.at[i].name);
	if (!*at)
		*--at = '/';
	memmove(path, at, strlen(at) + 1);
	return path;
}

static void hand_out(struct ck *ck, const struct ek_check_code *code,
		     enum ek_severity severity, uint32_t owner,
		     const char *name, uint64_t offset, const char *words)
{
	struct ek_finding finding = {
		.code = code->code,
		.severity = severity,
		.has_nid = owner != CK_NOBODY,
		.has_offset = offset != CK_NO_OFFSET,
		.offset = offset,
		.words = words,
	};
	char *path;

	if (!ck->options->finding || ck->handed_out >= ck->max_findings)
		return;
	ck->handed_out++;
	if (finding.has_nid)
		finding.nid = ck->inodes.at[owner].nid;
	if (!finding.has_offset)
		finding.offset = 0;
	path = ck_path(ck, owner, name);
	finding.path = path;
	ck->options->finding(ck->options->finding_arg, &finding);
	free(path);
}

ek_status ck_find(struct ck *ck, enum ck_code code, uint32_t owner,
		  const char *name, uint64_t offset, const char *fmt, ...)
{
	const struct ek_check_code *row = ek_check_code(code);
	enum ek_severity severity = row->severity;
	char words[WORDS_MAX];
	va_list ap;

	if (row->strict_only && !ck->options->strict)
		return EK_OK;
	if (severity == EK_SEVERITY_WARNING && ck->options->strict)
		severity = EK_SEVERITY_ERROR;
	if (severity == EK_SEVERITY_WARNING)
		ck->result->warnings++;
	else if (severity == EK_SEVERITY_ERROR)
		ck->result->errors++;
	else
		ck->result->unchecked++;
	va_start(ap, fmt);
	vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	hand_out(ck, row, severity, owner, name, offset, words);
	return EK_OK;
}

ek_status ck_failed(struct ck *ck, enum ck_code code, uint32_t owner,
		    const char *name, uint64_t offset, const struct ek_err *err)
{
	if (err->status == EK_NOMEM || err->status == EK_CANCELLED)
		return err->status;
	if (err->status == EK_IO)
		code = CK_IMAGE_READ;
	return ck_find(ck, code, owner, name, offset, "%s", err->text);
}

ek_status ck_cancelled(const struct ck *ck, struct ek_err *err)
{
	if (ck->options->cancel && *ck->options->cancel)
		return ek_fail(err, EK_CANCELLED, "stopped");
	return EK_OK;
}
