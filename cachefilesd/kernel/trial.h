/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_TRIAL_H
#define EKD_TRIAL_H

/*
 * A door tried out: a tiny image, a primary and a device with the data of its
 * one file, is served through it, mounted, read and compared. All of it is
 * done by children in namespaces of their own, so that nothing is left on the
 * host, whoever dies.
 */

#include "cachefilesd/kernel/door.h"

enum ekd_trial_door { EKD_TRIAL_FUSE, EKD_TRIAL_LOOP, EKD_TRIAL_FANOTIFY };

struct ekd_trial {
	/* EK_OK: mounted, and the bytes were right. EK_DIFFERS: others came. */
	ek_status status;
	bool resend;	/* FUSE: what was taken is delivered again */
	char text[160]; /* why not */
};

/*
 * Try @door; ends within about @ms milliseconds. The calling process has one
 * thread, and no child that it waits for without saying which.
 */
void ekd_trial_run(enum ekd_trial_door door, int ms, struct ekd_trial *trial);

/* The rest is between the parts of a trial. */

/* The image's one file, and its bytes: not a multiple of a block. */
#define EKD_TRIAL_NAME	"known"
#define EKD_TRIAL_BYTES 50000u
void ekd_trial_known(uint8_t bytes[EKD_TRIAL_BYTES]);

/*
 * Make the pair of files in the working directory, with a tree beside them;
 * both descriptors are readable.
 */
ek_status ekd_trial_image(int *primary, int *device, struct ek_err *err);
/* Mount by the paths of both, read the file and compare. */
ek_status ekd_trial_read(const char *primary, const char *device,
			 struct ek_err *err);

/* What a door's two sides work with. */
struct ekd_trial_stage {
	int primary, device; /* the pair */
	int full;	     /* fanotify: the device with its bytes */
	int fd;		     /* the kernel's side of the door; -1: none */
	struct ekd_door *door;
	struct ekd_door_kept kept;
};

/*
 * The two sides of a door, in processes of their own. The server prepares,
 * then serves until it is killed. The reader has none of the descriptors that
 * the server serves through: were the server to die, nothing would keep the
 * reader waiting.
 */
struct ekd_trial_sides {
	ek_status (*prepare)(struct ekd_trial_stage *stage, struct ek_err *err);
	ek_status (*serve)(struct ekd_trial_stage *stage, struct ek_err *err);
	ek_status (*read)(struct ekd_trial_stage *stage, struct ek_err *err);
};
extern const struct ekd_trial_sides ekd_trial_doors[3];

#endif
