/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_HOLDER_PROTOCOL_H
#define EKD_HOLDER_PROTOCOL_H

/*
 * What holder and worker say to each other, and the memory that they share.
 * docs/holder-protocol.md describes it byte for byte. Encoding and decoding
 * are pure; each field of what was received is checked.
 */

#include "cachefilesd/kernel/door.h"

#include <erofskit/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EKD_ID	    64		/* bytes of an image's id, with NUL */
#define EKD_PATH    1024	/* bytes of a path, with NUL */
#define EKD_FILE    200		/* bytes of a name of a source, with NUL */
#define EKD_HOST    256		/* bytes of a host, with NUL */
#define EKD_SECRET  4096	/* bytes of "user:password", with NUL */
#define EKD_DEVICES 127		/* devices of a mount */
#define EKD_LOWERS  64		/* layers of an overlay */
#define EKD_CONNS   128		/* kept API connections */
#define EKD_STATE   (64u << 10) /* bytes of the state record */

/* Where the holder looks for the bytes of a mount. */
enum ekd_place {
	EKD_PLACE_NONE,
	EKD_PLACE_DOOR,	 /* file NAME of the door */
	EKD_PLACE_STATE, /* images/ID/FILE: name is "ID/FILE" */
	EKD_PLACE_STORE, /* store/blobs/NAME/data, complete */
};

struct ekd_source {
	uint32_t place; /* enum ekd_place */
	char name[EKD_FILE];
};

enum ekd_mount_flags {
	EKD_MOUNT_SUID = 1,  /* honour setuid; refused unless configured */
	EKD_MOUNT_LOOP = 2,  /* through loop devices (tests; old kernels) */
	EKD_MOUNT_LAYER = 4, /* target is layers/ID of the run directory */
};

struct ekd_mount {
	char id[EKD_ID];       /* [a-zA-Z0-9._-], not beginning with '.' */
	char target[EKD_PATH]; /* absolute, plain; "" with EKD_MOUNT_LAYER */
	uint32_t flags;
	struct ekd_source primary;
	uint32_t n_devices;
	struct ekd_source devices[EKD_DEVICES];
};

enum ekd_overlay_flags {
	/* Writable: upper and work directories of the holder's, rw/ID. */
	EKD_OVERLAY_RW = 1,
	EKD_OVERLAY_SUID = 2, /* honour setuid; refused unless configured */
};

struct ekd_overlay {
	char id[EKD_ID];
	char target[EKD_PATH];
	uint32_t flags;
	uint32_t n_lowers;		 /* 1 to EKD_LOWERS */
	char lowers[EKD_LOWERS][EKD_ID]; /* ids of mounts, topmost first */
};

/* A mount that exists. */
struct ekd_mounted {
	bool is_overlay;
	bool alive; /* still where it was mounted */
	union {
		struct ekd_mount mount;
		struct ekd_overlay overlay;
	};
};

/* The numbers at which a worker finds its descriptors. */
enum {
	EKD_FD_CHANNEL = 3,
	EKD_FD_DOOR,
	EKD_FD_SHARED,
	EKD_FD_API,
	EKD_FD_LISTENER,
	EKD_FD_CONFIG,
	EKD_FD_END,
};

enum { EKD_UMOUNT_LAZY = 1 };
enum { EKD_STOP_KEEP = 1 };

/* Bytes of a failed reply's text, with NUL. */
#define EKD_TEXT 256
/* Bytes of the longest message. */
#define EKD_MESSAGE (28u << 10)
/* Descriptors that one message carries at most. */
#define EKD_MESSAGE_FDS 5

enum ekd_op {
	/* The worker asks. */
	EKD_OP_READY = 1,
	EKD_OP_OPEN,
	EKD_OP_MOUNT,
	EKD_OP_OVERLAY,
	EKD_OP_UMOUNT,
	EKD_OP_MOUNTS,
	EKD_OP_KEEP,
	EKD_OP_DROP,
	EKD_OP_CREDENTIALS,
	EKD_OP_STOP,
	/* The holder tells; without an answer. */
	EKD_OP_CONN = 20,
	EKD_OP_CONFIG,
	EKD_OP_QUIT,
	/* A new holder, on holder.sock. */
	EKD_OP_TAKE = 30,
	EKD_OP_DONE,
};

enum ekd_role { EKD_ROLE_HOLDER = 1, EKD_ROLE_WORKER = 2 };
enum { EKD_TAKE_UPGRADE = 1 };

/* One message, decoded. Which member of the union counts: by op and reply. */
struct ekd_message {
	uint32_t op; /* enum ekd_op */
	bool reply;
	uint32_t seq;	  /* of the asker's; 0: nobody waits */
	ek_status status; /* of a reply */
	int sys;	  /* errno with it */
	uint64_t value;	  /* id of a connection; flags of STOP and TAKE */
	union {
		char text[EKD_TEXT]; /* reply, status not EK_OK */
		char path[EKD_PATH]; /* OPEN */
		struct ekd_mount mount;
		struct ekd_overlay overlay;
		struct {
			char id[EKD_ID];
			uint32_t flags;
		} umount;
		char after[EKD_ID];	    /* MOUNTS; "": from the first */
		struct ekd_mounted mounted; /* reply to MOUNTS */
		char host[EKD_HOST];	    /* CREDENTIALS */
		char secret[EKD_SECRET];    /* reply to CREDENTIALS */
		struct {		    /* reply to TAKE */
			uint32_t role, pid, conns;
		} hand;
	};
};

/*
 * Write @message to @to (EKD_MESSAGE bytes); how many. The message is one
 * that ekd_message_decode() would take: else EK_INVALID and *n is 0.
 */
ek_status ekd_message_encode(const struct ekd_message *message, uint8_t *to,
			     size_t *n, struct ek_err *err);
/* Check @n bytes. EK_CORRUPT: a field is not as it may be; text says which. */
ek_status ekd_message_decode(const uint8_t *bytes, size_t n,
			     struct ekd_message *message, struct ek_err *err);

/* Names as they may be in messages. */
bool ekd_id_ok(const char *id);
bool ekd_path_ok(const char *path);
bool ekd_host_ok(const char *host);
bool ekd_source_ok(const struct ekd_source *source);

/* Sending and receiving at @fd wait so long at most; 0: without a limit. */
void ekd_message_limit(int fd, int seconds);
/*
 * One message over a SOCK_SEQPACKET socket with @n_fds descriptors, which stay
 * the caller's. Does not wait when @wait is false: EK_LIMIT when the socket is
 * full, or its limit of time was reached. EK_CANCELLED: the other side is gone.
 * @scratch: EKD_MESSAGE bytes.
 */
ek_status ekd_message_send(int fd, const struct ekd_message *message,
			   const int *fds, unsigned n_fds, bool wait,
			   uint8_t *scratch, struct ek_err *err);
/*
 * The same way back. With EK_OK *n_fds descriptors (close-on-exec) become the
 * caller's; with anything else there are none. @pid (NULL allowed): the
 * sender's, when the socket has SO_PASSCRED, else 0.
 */
ek_status ekd_message_receive(int fd, struct ekd_message *message,
			      int fds[EKD_MESSAGE_FDS], unsigned *n_fds,
			      int *pid, uint8_t *scratch, struct ek_err *err);

/*
 * The shared memory: a memfd that the holder keeps and every worker
 * maps. Opaque outside shared.c.
 */
struct ekd_shared;

/* A new one, sealed so that nobody can shorten it. */
ek_status ekd_shared_make(int *fd, struct ek_err *err);
/* EK_INVALID: not such a memory, or of another version. */
ek_status ekd_shared_map(int fd, struct ekd_shared **shared,
			 struct ek_err *err);
void ekd_shared_unmap(struct ekd_shared *shared);
struct ekd_door_kept *ekd_shared_door(struct ekd_shared *shared);
struct ekd_door_gauge *ekd_shared_gauge(struct ekd_shared *shared);
/* The worker lives: call it every 100 ms from a thread that would notice. */
void ekd_shared_beat(struct ekd_shared *shared);
uint64_t ekd_shared_beats(const struct ekd_shared *shared);
/* How many workers there were before this one. */
uint32_t ekd_shared_generation(const struct ekd_shared *shared);
/* For the holder, when no worker lives: another one comes. */
void ekd_shared_next(struct ekd_shared *shared);

/*
 * The state record: bytes (at most EKD_STATE) that a successor finds, whole:
 * the last or the one before, never a mixture. @version is the caller's.
 * One writer at a time. get: *n is 0 when there is none; @to has EKD_STATE
 * bytes.
 */
ek_status ekd_shared_put(struct ekd_shared *shared, uint32_t version,
			 const void *bytes, size_t n, struct ek_err *err);
void ekd_shared_get(const struct ekd_shared *shared, uint32_t *version,
		    void *to, size_t *n);

#endif
