/* SPDX-License-Identifier: Apache-2.0 */
#include "extract/attr.h"
#include "base/try.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/*
 * False: not known, as where /proc is not mounted. umask(2) can only be read by
 * setting it, which other threads would see.
 */
static bool current_umask(mode_t *umask)
{
	char line[4096];
	const char *at;
	ssize_t n;
	int fd;

	fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, line, sizeof(line) - 1);
	close(fd);
	line[n > 0 ? n : 0] = '\0';
	at = strstr(line, "\nUmask:");
	if (at)
		*umask = (mode_t)strtoul(at + 7, NULL, 8) & 0777;
	return at;
}

static bool wanted(enum ek_preserve preserve, bool by_default)
{
	return preserve == EK_PRESERVE_DEFAULT ? by_default
					       : preserve == EK_PRESERVE_YES;
}

void ek_attr_policy_init(struct ek_attr_policy *policy,
			 const struct ek_extract_options *options)
{
	mode_t umask;

	policy->uid = geteuid();
	policy->root = policy->uid == 0;
	policy->owner = wanted(options->owner, policy->root);
	policy->xattrs = !options->no_xattrs;
	policy->mode_mask = 0777 & ~022u;
	/* Not known: no file is believed to have the right mode by itself. */
	policy->umask = 0777;
	if (current_umask(&umask)) {
		policy->umask = umask;
		policy->mode_mask = 0777 & ~(uint32_t)umask;
	}
	if (wanted(options->perms, policy->root))
		policy->mode_mask = 07777;
	/* Set-id bits are meant for the file's owner, not for the caller. */
	if (!policy->owner)
		policy->mode_mask &= ~(uint32_t)(S_ISUID | S_ISGID);
}

static bool owner_is_right(const struct ek_attr_policy *policy,
			   const struct ek_attr_born *born,
			   const struct ek_node *node)
{
	return !policy->owner || (born->owned && born->uid == node->uid &&
				  born->gid == node->gid);
}

static bool can_be_right(const struct ek_attr_policy *policy,
			 const struct ek_attr_born *born,
			 const struct ek_node *node)
{
	uint32_t mode = node->mode & policy->mode_mask;

	/* Attributes may need a writable file, and ACLs change the mode. */
	return S_ISREG(node->mode) && born->moded && born->no_acls &&
	       owner_is_right(policy, born, node) && !node->xattr_size &&
	       !(mode & ~(uint32_t)0777) && !(mode & policy->umask);
}

uint32_t ek_attr_first_mode(const struct ek_attr_policy *policy,
			    const struct ek_attr_born *born,
			    const struct ek_node *node)
{
	return can_be_right(policy, born, node) ? node->mode & policy->mode_mask
						: 0600;
}

void ek_attr_learn(const struct ek_attr_policy *policy, int fd, uint32_t asked,
		   struct ek_attr_born *born)
{
	struct stat st;

	born->owned = fstat(fd, &st) == 0;
	if (!born->owned)
		return;
	born->uid = st.st_uid;
	born->gid = st.st_gid;
	born->moded = (st.st_mode & 07777) == (asked & ~policy->umask);
}

struct apply {
	const struct ek_attr_policy *policy;
	int fd;
	const char *proc; /* path of an O_PATH descriptor, else NULL */
	unsigned *skipped;
};

static ek_status set_xattr(void *arg, const struct ek_xattr *xattr,
			   struct ek_err *err)
{
	struct apply *a = arg;
	int r;

	if (a->proc)
		r = setxattr(a->proc, xattr->name, xattr->value,
			     xattr->value_len, 0);
	else
		r = fsetxattr(a->fd, xattr->name, xattr->value,
			      xattr->value_len, 0);
	if (r == 0)
		return EK_OK;
	/* Without root some kinds are refused: that is no damage. */
	if (errno == EPERM && !a->policy->root) {
		*a->skipped |= EK_ATTR_SKIPPED_XATTR;
		return EK_OK;
	}
	return ek_fail_sys(err, errno, "cannot set attribute %s", xattr->name);
}

/* What the file has from a default ACL above it, not from the image. */
static ek_status drop_acl(const struct apply *a, const char *name,
			  struct ek_err *err)
{
	ssize_t n = a->proc ? getxattr(a->proc, name, NULL, 0)
			    : fgetxattr(a->fd, name, NULL, 0);

	if (n < 0)
		return EK_OK;
	if ((a->proc ? removexattr(a->proc, name)
		     : fremovexattr(a->fd, name)) != 0 &&
	    errno != ENODATA)
		return ek_fail_sys(err, errno,
				   "cannot remove an inherited ACL");
	return EK_OK;
}

bool ek_attr_ours(const struct ek_attr_policy *policy, int dir)
{
	struct stat st;

	return fstat(dir, &st) == 0 && st.st_uid == policy->uid;
}

bool ek_attr_no_acls(int dir)
{
	return fgetxattr(dir, "system.posix_acl_default", NULL, 0) < 0 &&
	       (errno == ENODATA || errno == EOPNOTSUPP);
}

static ek_status drop_acls(const struct apply *a, uint32_t mode,
			   struct ek_err *err)
{
	if (S_ISLNK(mode))
		return EK_OK;
	EK_TRY(drop_acl(a, "system.posix_acl_access", err));
	return S_ISDIR(mode) ? drop_acl(a, "system.posix_acl_default", err)
			     : EK_OK;
}

static ek_status set_times(const struct apply *a, const struct ek_node *node,
			   struct ek_err *err)
{
	struct timespec at[2];
	int r;

	at[0].tv_sec = (time_t)node->mtime;
	at[0].tv_nsec = (long)node->mtime_nsec;
	if ((int64_t)at[0].tv_sec != node->mtime)
		return ek_fail(err, EK_LIMIT,
			       "the time is beyond what this host can set");
	at[1] = at[0];
	r = a->proc ? utimensat(AT_FDCWD, a->proc, at, 0) : futimens(a->fd, at);
	if (r != 0)
		return ek_fail_sys(err, errno, "cannot set times");
	return EK_OK;
}

ek_status ek_attr_apply(struct ek_image *image,
			const struct ek_attr_policy *policy,
			const struct ek_attr_born *born,
			const struct ek_node *node, int fd, bool opened_path,
			unsigned *skipped, struct ek_err *err)
{
	char proc[32];
	struct apply a = {policy, fd, NULL, skipped};
	mode_t mode = node->mode & policy->mode_mask;

	*skipped = 0;
	if (opened_path) {
		snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
		a.proc = proc;
	}
	if (!owner_is_right(policy, born, node) &&
	    fchownat(fd, "", node->uid, node->gid, AT_EMPTY_PATH) != 0) {
		if (errno != EPERM || policy->root)
			return ek_fail_sys(err, errno, "cannot set the owner");
		*skipped |= EK_ATTR_SKIPPED_OWNER;
	}
	if (policy->xattrs && !born->no_acls)
		EK_TRY(drop_acls(&a, node->mode, err));
	if (policy->xattrs && node->xattr_size)
		EK_TRY(ek_image_xattrs(image, node, set_xattr, &a, err));
	/* Symlinks have no permissions of their own. */
	if (!S_ISLNK(node->mode) && !can_be_right(policy, born, node) &&
	    (opened_path ? chmod(proc, mode) : fchmod(fd, mode)) != 0)
		return ek_fail_sys(err, errno, "cannot set permissions");
	return set_times(&a, node, err);
}
