/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_SERVICE_H
#define EKD_SERVICE_H

/*
 * What the daemon does, as calls that take structs: mount images, tell of
 * them, fetch ahead, record. The API is a thin coat over this, as other ones
 * may be.
 *
 * Any thread; calls that wait for the network, the kernel or the disk block
 * their caller, and who opens, closes or changes a blob meanwhile; never
 * readers, nor who asks for a report. Each change may be asked for again (after
 * the process died, say) and does no harm; mount, complete and prefetch succeed
 * then, umount ends with EK_NOTFOUND.
 */

#include "cachefilesd/config/config.h"
#include "cachefilesd/config/log.h"
#include "cachefilesd/config/steps.h"
#include "cachefilesd/fetch/fetch.h"
#include "cachefilesd/holder/client.h"
#include "cachefilesd/serve/serve.h"
#include "cachefilesd/store/store.h"

#include <erofskit/status.h>

#include <stdbool.h>
#include <stdint.h>

struct ekd_service;

struct ekd_service_options {
	const struct ekd_config *config; /* borrowed until ekd_service_free */
	struct ekd_log *log;		 /* borrowed; NULL: none */
	struct ekd_steps *steps;	 /* borrowed */
	int door_fd;			 /* borrowed */
	const struct ekd_door_kept *kept;
	struct ekd_door_gauge *gauge;
};

/* Kill points of mount and umount, "image:...", closed by NULL. */
extern const char *const ekd_service_steps[];

/*
 * Whether ekd_service_new() would take @config, as far as that can be told
 * without its directories: mirrors, and files that this process's user must be
 * able to read. Any time, beside a service too.
 */
ek_status ekd_service_check(const struct ekd_config *config,
			    struct ek_err *err);
/* Opens the store and what else needs no holder. */
ek_status ekd_service_new(const struct ekd_service_options *options,
			  struct ekd_service **service, struct ek_err *err);
/*
 * With a holder to ask (borrowed): bring back the images that were mounted,
 * then let the door read. Images that are to be mounted anew are, on a thread
 * of their own.
 */
ek_status ekd_service_start(struct ekd_service *service,
			    struct ekd_holder *holder, struct ek_err *err);
/*
 * Read no more requests of the kernel; what is under way is left to a
 * successor. Then nothing is to be called but ekd_service_free(), when no
 * other call is under way. NULL allowed.
 */
void ekd_service_stop(struct ekd_service *service);
void ekd_service_free(struct ekd_service *service);

/* A mount that is asked for. Texts are borrowed for the call; NULL: none. */
struct ekd_mount_request {
	const char *target; /* absolute, no symbolic link in it */
	/* One of both: directory of erofs-tarfs convert, or "oci://...". */
	const char *index, *image;
	/* With index: "registry/name[:tag]" that has the layers; NULL: the
	 * files that the directory names. */
	const char *from;
	const char *index_digest; /* "sha256:HEX" of its image.json */
	const char *platform;	  /* with image */
	bool rw;		  /* writable, by an overlay */
	bool persist;		  /* comes back after a new start of the host */
	bool suid;		  /* honour setuid bits */
	bool complete;		  /* fetch all of it in the background */
	bool loop;		  /* through loop devices */
	bool has_untrusted;
	enum ekd_untrusted untrusted; /* else what the configuration says */
};

/* Length of ids with NUL. */
#define EKD_IMAGE_ID 40

/* EK_EXISTS: something else is mounted there. *id is of the mount. */
ek_status ekd_service_mount(struct ekd_service *service,
			    const struct ekd_mount_request *request,
			    char id[EKD_IMAGE_ID], struct ek_err *err);
/*
 * @which is a target or an id. Waits for other calls that look at the image.
 * EK_NOTFOUND; EK_EXISTS: it is being mounted or unmounted by another call.
 */
ek_status ekd_service_umount(struct ekd_service *service, const char *which,
			     bool lazy, struct ek_err *err);

/*
 * Unmount it and mount it again, so that blobs which are complete are read
 * without the door. EK_IO with EBUSY while it is in use. Waits as umount.
 */
ek_status ekd_service_remount(struct ekd_service *service, const char *which,
			      struct ek_err *err);

enum ekd_image_state {
	EKD_IMAGE_MOUNTING,
	EKD_IMAGE_MOUNTED,
	EKD_IMAGE_UNMOUNTING,
	EKD_IMAGE_BROKEN, /* it could not be brought back: see problem */
};
const char *ekd_image_state_name(enum ekd_image_state state);

/* One image; texts live during the call of ekd_service_images(). */
struct ekd_image_info {
	const char *id, *target, *source, *from;
	const char *problem; /* or "" */
	enum ekd_image_state state;
	bool rw, persist, recording;
	bool lazy; /* some of its bytes come through the door */
	struct ekd_served_stats sum; /* over its blobs */
	uint32_t n_blobs;
	const struct ekd_blob_info {
		const char *name, *from;
		bool door; /* else the kernel reads the store's file */
		struct ekd_served_stats stats;
	} * blobs;
};
void ekd_service_images(struct ekd_service *service,
			void (*tell)(void *arg,
				     const struct ekd_image_info *image),
			void *arg);

struct ekd_service_status {
	uint32_t images, lazy_images;
	bool holder; /* one is there */
	bool resend; /* the kernel delivers again after a restart */
	bool door_broken;
	int64_t started_ms; /* of CLOCK_REALTIME */
	struct ekd_door_stats door;
	struct ekd_store_stats store;
	struct ekd_serve_stats serve;
	struct ekd_fetch_stats fetch;
};
void ekd_service_status(struct ekd_service *service,
			struct ekd_service_status *status);
struct ekd_serve *ekd_service_serve(struct ekd_service *service);
struct ekd_store *ekd_service_store(struct ekd_service *service);
struct ekd_fetch *ekd_service_fetch(struct ekd_service *service);
struct ekd_holder *ekd_service_holder(struct ekd_service *service);
void ekd_service_holder_there(struct ekd_service *service, bool there);

/* Fetch all of an image, or no longer. */
ek_status ekd_service_complete(struct ekd_service *service, const char *which,
			       bool on, struct ek_err *err);
/*
 * Fetch ahead: what the trace in local file @trace names, or the data of the
 * files at @paths (closed by NULL; directories with all beneath them).
 * *bytes: how many were listed.
 */
ek_status ekd_service_prefetch(struct ekd_service *service, const char *which,
			       const char *trace, const char *const *paths,
			       uint64_t *bytes, struct ek_err *err);
/* Record what is read of an image from now on. EK_EXISTS: it is recorded. */
ek_status ekd_service_record(struct ekd_service *service, const char *which,
			     struct ek_err *err);
/* The trace so far, free(*text); @stop ends the recording. EK_NOTFOUND. */
ek_status ekd_service_trace(struct ekd_service *service, const char *which,
			    bool stop, char **text, size_t *n,
			    struct ek_err *err);

#endif
