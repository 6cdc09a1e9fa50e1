/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_CONFIG_H
#define EKD_CONFIG_H

/*
 * The configuration of erofs-cachefilesd: one JSON object, every key optional.
 * docs/daemon.md has the table. Unknown keys, wrong types, values out of range
 * and keys that occur twice are errors that name the line.
 */

#include <erofskit/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Most bytes of a file. */
#define EKD_CONFIG_MAX (256u << 10)
/* Most elements of a list. */
#define EKD_CONFIG_LIST 16
/* Most bytes of a path with its NUL: what fits beneath it still is one. */
#define EKD_CONFIG_PATH 2048

enum ekd_log_level {
	EKD_LOG_ERROR,
	EKD_LOG_WARNING,
	EKD_LOG_INFO,
	EKD_LOG_DEBUG,
};

/* What to do with an index whose digests nothing trusted leads to. */
enum ekd_untrusted {
	EKD_UNTRUSTED_REFUSE,
	EKD_UNTRUSTED_STREAM, /* read and check the whole layer first */
};

/* Texts live as long as the configuration; lists are closed by NULL. */
struct ekd_config {
	const char *state_dir, *run_dir; /* absolute */
	uint32_t uid, gid;		 /* of the worker */
	uint32_t threads;		 /* that read requests of the kernel */
	uint64_t deadline_ms;		 /* of a reader */
	uint64_t worker_memory;		 /* bytes, most; 0: no limit */
	/* Local files and targets of mounts lie beneath one of these. */
	const char **local_roots, **mount_roots;
	bool local_named; /* local_roots is in the file, not the default */
	bool allow_suid;  /* mounts may honour setuid bits when asked */
	enum ekd_untrusted untrusted;

	/* cache */
	uint64_t quota; /* bytes; 0: none */
	uint64_t checkpoint_bytes, checkpoint_ms;

	/* fetch */
	uint64_t connections, tries;
	uint64_t connect_ms, stall_ms;
	uint64_t request_bytes, ahead_bytes, memory_bytes;
	const char **plain_http, **mirrors;
	const char *proxy; /* NULL: none is named */
	const char *ca_file, *client_cert, *client_key;
	const char *docker_config; /* the file; NULL: the default */

	/* background */
	uint64_t complete_rate; /* bytes a second; 0: no limit */

	/* log */
	enum ekd_log_level log_level;
	bool log_json;

	void *own; /* what the texts live in */
};

/*
 * Read @n bytes of JSON; 0 bytes are the defaults. EK_CORRUPT, EK_INVALID,
 * EK_LIMIT: what is wrong, with its line.
 */
ek_status ekd_config_parse(const char *text, size_t n,
			   struct ekd_config *config, struct ek_err *err);
/*
 * Read the file @path; errors begin with its name. NULL: the default file
 * (EKD_CONFIG_FILE), which need not be there.
 */
#define EKD_CONFIG_FILE "/etc/erofskit/daemon.json"
ek_status ekd_config_read(const char *path, struct ekd_config *config,
			  struct ek_err *err);
void ekd_config_release(struct ekd_config *config);

/* The JSON that it was read from; lives as long as @config. */
const char *ekd_config_text(const struct ekd_config *config, size_t *n);

/* Whether @now can replace @then without a new holder; else *key differs. */
bool ekd_config_fits(const struct ekd_config *then,
		     const struct ekd_config *now, const char **key);

const char *ekd_log_level_name(enum ekd_log_level level);

#endif
