/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_WORKER_PRIV_H
#define EKD_WORKER_PRIV_H

/* What the files of the service share. */

#include "cachefilesd/worker/record.h"
#include "cachefilesd/worker/service.h"
#include "base/try.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

/* As much of @from as fits @room bytes with its NUL. */
static inline void text_put(char *to, size_t room, const char *from)
{
	snprintf(to, room, "%s", from);
}

/* A blob that images use; one object for all of them. */
struct blob {
	struct ekd_service *service;
	struct blob *next;
	uint32_t users;
	char name[EKD_DOOR_NAME + 1];
	char from[EKD_SOURCE_TEXT]; /* where it is fetched from */
	uint64_t size;
	struct ekd_blob *stored;
	struct ekd_served *served;
	bool on_door;  /* a file of the door */
	uint32_t pins; /* images whose kernel mount reads the store's file */
	uint32_t completers;	      /* images that want all of it */
	const struct image *recorder; /* whose trace its reads go to */
};

struct image {
	struct image *next;
	char id[EKD_IMAGE_ID];
	struct ekd_record record;
	struct blob **blobs; /* of the record's blobs; NULL: not open */
	/* Instead, of a mounted one: those that could be opened, else NULL. */
	struct blob **some;
	bool completing; /* its blobs were told so */
	enum ekd_image_state state;
	struct ekd_trace *trace;
	/* Blobs that were made whole for it, pinned until they are used. */
	uint32_t n_kept;
	struct ekd_blob *kept[EKD_DEVICES];
	uint32_t users; /* calls that look at it: it may not go */
	bool again;	/* is to be mounted by load_mount_again() */
	bool lost;	/* see image_mount() */
	char problem[256];
};

struct ekd_service {
	struct ekd_service_options o;
	struct ekd_holder *holder;
	atomic_bool holder_there;
	int64_t started_ms;
	/* Reads that failed: when it was told last, and how many since. */
	_Atomic int64_t told_at;
	atomic_uint untold;
	int images_dir; /* descriptor */
	struct ekd_store *store;
	struct ekd_fetch *fetch;
	struct ekd_serve *serve;
	struct ekd_door *door;

	/* Changes of images that stay mounted: their traces and image.json.
	 * Taken before the others. */
	pthread_mutex_t change_lock;

	/* Opens and closes blobs; taken before @lock. */
	pthread_mutex_t blobs_lock;
	struct blob *blobs;

	/* Lists and states of images. */
	pthread_mutex_t lock;
	pthread_cond_t changed; /* the state of some image */
	struct image *images;
	bool stopping;

	pthread_t mounter; /* brings images back */
	bool has_mounter;
};

/* blobs.c */

/*
 * Open the blob of @r, whose digests are @leaves (NULL: the store has them),
 * and serve it. blob_put() releases it. @mounted: the kernel has it, so that
 * one which can be fetched from nowhere is served as far as it is here.
 */
ek_status blob_get(struct ekd_service *s, const struct ekd_record_blob *r,
		   const struct ek_leaves *leaves, bool mounted,
		   struct blob **blob, struct ek_err *err);
void blob_put(struct blob *blob);
/* An image reads it by the door. Before the mount. */
ek_status blob_use_door(struct blob *blob, struct ek_err *err);
/*
 * An image reads it directly: pinned until blob_unpin(). False: it is not
 * whole, or the disk did not take it, so that only the door is right.
 */
bool blob_use_direct(struct blob *blob);
/* As that, for an image that was mounted so by a predecessor. */
void blob_pin(struct blob *blob);
void blob_unpin(struct blob *blob);
void blob_complete(struct blob *blob, bool on);
/*
 * Record its reads to @trace of @image, with NULL no more, if they go there.
 * EK_EXISTS: they go to that of another image.
 */
ek_status blob_record(struct blob *blob, const struct image *image,
		      struct ekd_trace *trace, struct ek_err *err);
/* The door's hook. */
void blob_read(void *service, struct ekd_door_request *request);

/* images.c */

/*
 * The image at @target or of id @which, held: image_release() it. Waits until
 * nothing is being done with it. NULL: none.
 */
struct image *image_find(struct ekd_service *s, const char *which);
void image_release(struct ekd_service *s, struct image *image);
/*
 * Open what the record names. @fresh: it is not mounted yet, so that blobs
 * which are complete can be read directly. Without, a failure leaves open what
 * could be opened: the kernel reads it. Nothing is fetched yet.
 */
ek_status image_open_blobs(struct ekd_service *s, struct image *image,
			   bool fresh, struct ek_err *err);
void image_free(struct image *image);
/* Put its record in the place of that which is kept: a successor goes by it. */
ek_status image_save(struct ekd_service *s, const struct image *image,
		     struct ek_err *err);
/* Something is being done with it. The service's lock is held. */
static inline bool image_busy(const struct image *image)
{
	return image->state == EKD_IMAGE_MOUNTING ||
	       image->state == EKD_IMAGE_UNMOUNTING;
}
/* Fetch all of it, or no more; what is open of it. */
void image_complete(struct image *image, bool on);
/* Let go of the blobs that were kept for it. */
void image_drop_kept(struct image *image);
void image_id(const char *target, char id[EKD_IMAGE_ID]);
/*
 * Ask the kernel, through the holder. Undoes itself on failure, unless the
 * reply was lost: with image->lost it may be mounted, or be yet.
 */
ek_status image_mount(struct ekd_service *s, struct image *image,
		      struct ek_err *err);
ek_status image_umount(struct ekd_service *s, const struct image *image,
		       bool lazy, struct ek_err *err);
void image_set(struct ekd_service *s, struct image *image,
	       enum ekd_image_state state, const char *problem);
/* Takes it out of the list, when nobody looks at it, and frees it. */
void image_remove(struct ekd_service *s, struct image *image);

/* files.c: images/ID of the state directory */

#define INDEX_NAME "index.erofs"
/* The directory of image @id. */
ek_status files_open(struct ekd_service *s, const char *id, int *dir,
		     struct ek_err *err);
/* The same, made anew. */
ek_status files_make(struct ekd_service *s, const char *id, int *dir,
		     struct ek_err *err);
ek_status files_put(int dir, const char *name, const void *bytes, size_t n,
		    struct ek_err *err);
/* A file without a name, to read and write; -1 with a failure. */
int files_nameless(struct ekd_service *s, struct ek_err *err);
/* All of a file of at most @most bytes; free(*bytes). */
ek_status files_get(int dir, const char *name, size_t most, char **bytes,
		    size_t *n, struct ek_err *err);
ek_status files_read(int fd, const char *what, size_t most, char **bytes,
		     size_t *n, struct ek_err *err);
void files_remove(struct ekd_service *s, const char *id);
/* The digests of blob @i of an image. */
ek_status files_put_leaves(int dir, uint32_t i, const struct ek_leaves *leaves,
			   struct ek_err *err);
ek_status files_get_leaves(int dir, uint32_t i, const uint8_t root[32],
			   struct ek_leaves **leaves, struct ek_err *err);

/* check.c */

/* The rules of fsck over metadata of @image, whose devices have these sizes. */
ek_status check_metadata(struct ek_source *image, const uint64_t *sizes,
			 size_t n, const char *what, struct ek_err *err);
/* A source that reads through the scheduler. */
ek_status source_of_blob(struct blob *blob, struct ek_source **src,
			 struct ek_err *err);

/* index.c, native.c: fill the record, the directory and open the blobs. */
ek_status prepare_index(struct ekd_service *s,
			const struct ekd_mount_request *request,
			struct image *image, int dir, struct ek_err *err);
ek_status prepare_native(struct ekd_service *s,
			 const struct ekd_mount_request *request,
			 struct image *image, int dir, struct ek_err *err);

/* stream.c */

/*
 * Read blob @digest of @size bytes as a whole, check its digest, and put it
 * into the store; *blob is then complete, for ekd_blob_close().
 */
ek_status stream_blob(struct ekd_service *s, const struct ekd_reference *ref,
		      const char *digest, uint64_t size, struct ekd_blob **blob,
		      struct ek_err *err);

/*
 * Read blob @digest of @size bytes, which is that of @r compressed, as a whole
 * and put what is in it into the store; *blob is then complete and pinned.
 */
ek_status unpack_blob(struct ekd_service *s, const struct ekd_reference *ref,
		      const char *digest, uint64_t size,
		      const struct ekd_record_blob *r,
		      const struct ek_leaves *leaves, struct ekd_blob **blob,
		      struct ek_err *err);

/* paths.c */

/* Prefetch the data of @path inside the image; adds to *bytes. */
ek_status prefetch_path(struct ekd_service *s, const struct image *image,
			const char *path, uint64_t *bytes, struct ek_err *err);

/* load.c */

/* Before the door reads. */
ek_status load_images(struct ekd_service *s, struct ek_err *err);
/* After: mount what is to be mounted anew, on a thread. */
ek_status load_mount_again(struct ekd_service *s, struct ek_err *err);

#endif
