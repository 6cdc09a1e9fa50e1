/* SPDX-License-Identifier: Apache-2.0 */
#include "base/try.h"
#include "cachefilesd/config/log.h"
#include "cachefilesd/config/steps.h"
#include "cachefilesd/holder/holder.h"
#include "cachefilesd/program.h"
#include "cachefilesd/setup.h"
#include "cachefilesd/verbs.h"
#include "cli/message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* One argument of the holder's hooks. */
struct both {
	struct ekd_log *log;
	struct ekd_steps *steps;
};

static void holder_step(void *arg, const char *name)
{
	ekd_steps_pass(((struct both *)arg)->steps, name);
}

static void holder_log(void *arg, int level, const char *line)
{
	ekd_log_line(((struct both *)arg)->log,
		     level == 0	  ? EKD_LOG_ERROR
		     : level == 1 ? EKD_LOG_WARNING
				  : EKD_LOG_INFO,
		     line);
}

/* The configuration where the worker finds it. */
static ek_status put_config(const struct ekd_config *config, int *fd,
			    struct ek_err *err)
{
	size_t n;
	const char *text = ekd_config_text(config, &n);

	*fd = memfd_create("erofs-cachefilesd config", MFD_CLOEXEC);
	if (*fd < 0)
		return ek_fail_sys(err, errno, "memfd");
	if (pwrite(*fd, text, n, 0) != (ssize_t)n)
		return ek_fail_sys(err, errno, "memfd");
	return EK_OK;
}

static void put_roots(const char *to[EKD_ROOTS + 1], const char **from)
{
	size_t n = 0;

	for (; from[n] && n < EKD_ROOTS; n++)
		to[n] = from[n];
	to[n] = NULL;
}

/*
 * The words for the child that reads the configuration anew. The directories
 * are this holder's, whatever the file says by then: a worker that came up
 * elsewhere could serve nothing of what is mounted.
 */
static void config_words(const struct ekd_options *o,
			 const struct ekd_config *config, const char *words[8])
{
	size_t n = 0;

	words[n++] = "config";
	if (o->text[OPT_CONFIG]) {
		words[n++] = "--config";
		words[n++] = o->text[OPT_CONFIG];
	}
	words[n++] = "--state-dir";
	words[n++] = config->state_dir;
	words[n++] = "--run-dir";
	words[n++] = config->run_dir;
	words[n] = NULL;
}

#define PATHS 3

/* What goes on wherever the holder's directory is; @made is to be freed. */
static ek_status absolute(struct ekd_options *o, char *made[PATHS],
			  struct ek_err *err)
{
	static const int paths[PATHS] = {OPT_CONFIG, OPT_STATE_DIR,
					 OPT_RUN_DIR};

	for (size_t i = 0; i < PATHS; i++) {
		if (!o->text[paths[i]])
			continue;
		EK_TRY(ekd_absolute(o->text[paths[i]], &made[i], err));
		o->text[paths[i]] = made[i];
	}
	return EK_OK;
}

static ek_status hold(const struct ekd_options *o,
		      const struct ekd_config *config, struct ekd_log *log,
		      struct ekd_steps *steps, int *exit_code,
		      struct ek_err *err)
{
	const char *words[8], *credentials[3] = {"credentials", "", NULL};
	struct both both = {log, steps};
	struct ekd_holder_options h = {
		.run_dir = config->run_dir,
		.state_dir = config->state_dir,
		.uid = config->uid,
		.gid = config->gid,
		.allow_suid = config->allow_suid,
		.deadline_ms = (uint32_t)config->deadline_ms,
		.worker_memory = config->worker_memory,
		.upgrade = o->has[OPT_UPGRADE],
		.config_argv = words,
		.credentials_argv = credentials,
		.log = holder_log,
		.step = holder_step,
		.arg = &both,
	};
	ek_status s;

	EK_TRY(ekd_worker_program(&h.worker, err));
	if (config->docker_config)
		credentials[1] = config->docker_config;
	config_words(o, config, words);
	h.open_as_worker = !config->local_named;
	put_roots(h.open_roots, config->local_roots);
	put_roots(h.mount_roots, config->mount_roots);
	s = put_config(config, &h.config, err);
	return s == EK_OK ? ekd_holder_run(&h, exit_code, err) : s;
}

int ekd_run(const struct ekd_options *options)
{
	struct ekd_options o = *options;
	struct ekd_config config = {0};
	struct ekd_steps steps;
	struct ekd_log *log = NULL;
	char *made[PATHS] = {NULL};
	int exit_code = EKD_FAILED;
	struct ek_err err;
	ek_status s;

	s = absolute(&o, made, &err);
	if (s == EK_OK)
		s = ekd_load_config(&o, &config, &err);
	if (s == EK_OK)
		s = ekd_steps_set(&steps, getenv("EKD_KILL"), &err);
	if (s == EK_OK)
		s = ekd_log_new(STDERR_FILENO, "holder", &log, &err);
	if (s == EK_OK) {
		ekd_log_set(log, config.log_level, config.log_json);
		s = hold(&o, &config, log, &steps, &exit_code, &err);
	}
	ekd_log_free(log);
	ekd_config_release(&config);
	for (size_t i = 0; i < PATHS; i++)
		free(made[i]);
	if (s == EK_OK)
		return exit_code;
	cli_error("%s", err.text);
	return EKD_FAILED;
}
