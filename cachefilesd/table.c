/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/opts.h"

/* One row of the table, in the order of struct cli_option. */
static const struct cli_option options[] = {
	{OPT_CONFIG, "config", 0, CLI_REQUIRED, "FILE",
	 "the configuration, JSON; unknown keys are errors",
	 "/etc/erofskit/daemon.json, which need not be there", "Service", 0},
	{OPT_STATE_DIR, "state-dir", 0, CLI_REQUIRED, "DIR",
	 "run: where blobs and images are kept", "as configured", NULL, 0},
	{OPT_RUN_DIR, "run-dir", 0, CLI_REQUIRED, "DIR",
	 "where the sockets and the door are", "as configured", NULL, 0},
	{OPT_UPGRADE, "upgrade", 0, CLI_NONE, NULL,
	 "run: take over from the daemon that runs, without a failed read",
	 NULL, NULL, 0},
	{OPT_SOCKET, "socket", 0, CLI_REQUIRED, "PATH",
	 "the API's socket of a running daemon",
	 "api.sock of the run directory", NULL, 0},
	{OPT_KEEP, "keep", 0, CLI_NONE, NULL,
	 "stop: leave the worker and the mounts for the next run", NULL, NULL,
	 0},
	{OPT_UMOUNT, "umount", 0, CLI_NONE, NULL,
	 "stop: unmount all images first", NULL, NULL, 0},
	{OPT_INDEX, "index", 0, CLI_REQUIRED, "OUT",
	 "mount: the image that erofs-tarfs convert described in OUT", NULL,
	 "Images", 0},
	{OPT_FROM, "from", 0, CLI_REQUIRED, "REF",
	 "mount: the registry that has the layers of OUT, as in "
	 "registry.example/app:1.2",
	 "the files that OUT names", NULL, 0},
	{OPT_INDEX_DIGEST, "index-digest", 0, CLI_REQUIRED, "sha256:HEX",
	 "mount: OUT/image.json must have this digest", NULL, NULL, 0},
	{OPT_PLATFORM, "platform", 0, CLI_REQUIRED, "OS/ARCH[/VARIANT]",
	 "mount: which platform of an image of several", "the host's", NULL, 0},
	{OPT_UNTRUSTED, "untrusted-index", 0, CLI_REQUIRED,
	 "refuse|stream-first",
	 "mount: what to do with an image that nothing trusted leads to; "
	 "stream-first reads and checks its layers as a whole before a byte is "
	 "served",
	 "as configured: refuse", NULL, 0},
	{OPT_RW, "rw", 0, CLI_NONE, NULL, "mount: writable, by an overlay",
	 NULL, NULL, 0},
	{OPT_PERSIST, "persist", 0, CLI_NONE, NULL,
	 "mount: again after the host or the daemon was started anew", NULL,
	 NULL, 0},
	{OPT_SUID, "suid", 0, CLI_NONE, NULL,
	 "mount: honour setuid bits; the configuration must allow it", NULL,
	 NULL, 0},
	{OPT_COMPLETE, "complete", 0, CLI_NONE, NULL,
	 "mount: fetch all of it in the background; stop: fetch all of all "
	 "images and mount them without the daemon first",
	 NULL, NULL, 0},
	{OPT_LOOP, "loop", 0, CLI_NONE, NULL,
	 "mount: through loop devices, as on kernels before 6.12", NULL, NULL,
	 0},
	{OPT_TRACE, "trace", 0, CLI_REQUIRED, "FILE",
	 "mount, prefetch: fetch ahead what the trace names", NULL, NULL, 0},
	{OPT_LAZY, "lazy", 0, CLI_NONE, NULL,
	 "umount: though it is in use; who uses it gets I/O errors", NULL, NULL,
	 0},
	{OPT_OFF, "off", 0, CLI_NONE, NULL, "complete: no longer", NULL, NULL,
	 0},
	{OPT_WAIT, "wait", 0, CLI_NONE, NULL,
	 "complete, prefetch: until it is done", NULL, NULL, 0},
	{OPT_STOP, "stop", 0, CLI_NONE, NULL, "trace show: end the recording",
	 NULL, NULL, 0},
	{OPT_OUTPUT, "output", 'o', CLI_REQUIRED, "FILE",
	 "trace show: where to write it", "standard output", NULL, 0},
	{OPT_MIN, "min", 0, CLI_REQUIRED, "TIME",
	 "waits: those that wait for so long or longer", "1s", "Messages", 0},
	{OPT_JSON, "json", 0, CLI_NONE, NULL,
	 "one JSON object on standard output instead of text", NULL, NULL, 0},
	{OPT_QUIET, "quiet", 'q', CLI_NONE, NULL, "nothing on standard output",
	 NULL, NULL, 0},
};

static const struct cli_section sections[] = {
	{"VERBS",
	 "run: be the service. doors: mounts a tiny image by each kernel "
	 "interface, out of\neverybody's sight, and tells which work here and "
	 "why others do not; needs root.\nconfig: check a configuration and "
	 "print it.\n\n"
	 "mount --index OUT [--from REF] DIR: an image by its local index, "
	 "layers from a registry.\nmount oci://REF DIR: an image whose layers "
	 "are EROFS images. umount DIR.\n\n"
	 "status, images, blobs, waits: what is there, what it did, who waits "
	 "for what.\n\n"
	 "prefetch DIR [PATH...]: fetch files ahead, or what --trace names. "
	 "complete DIR: fetch\nall. trace record DIR, trace show DIR: what is "
	 "read, in order of first touch.\n\n"
	 "gc: remove blobs that no image uses. verify: compare all that is "
	 "kept with its\ndigests, drop what is wrong. stop: end the service."},
	{"PROMISE",
	 "A reader gets the right bytes, waits, or gets an I/O error, and "
	 "never bytes that were not\nfetched and verified: whatever is killed, "
	 "fills up, lies or loses power. Without any\ndaemon the FUSE door "
	 "fails closed. A worker that was taken over by an attacker could\n"
	 "write wrong bytes: verify and dm-verity tell."},
	{"FILES",
	 "/etc/erofskit/daemon.json: the configuration. /var/lib/erofskit: "
	 "blobs and images.\n/run/erofskit: sockets and mounts of the door. "
	 "erofs-cachefilesd-worker, in\nlibexec/erofskit or beside this "
	 "program: what run starts as another user."},
	{"SIGNALS",
	 "SIGHUP: read the configuration anew. SIGTERM: end, or leave the "
	 "worker to serve when\nimages are mounted."},
	{NULL, NULL},
};

static const struct cli_exit exits[] = {
	{"0", "Done; for verify: nothing was wrong."},
	{"1", "Failed; doors: none works by which this version serves."},
	{"4", "verify: something was wrong, and was dropped."},
	{"16", "The command line is wrong."},
	{NULL, NULL},
};

const struct cli_program ekd_program = {
	.name = "erofs-cachefilesd",
	.synopsis = "run [--config FILE] [--upgrade]\n"
		    "mount --index OUT [--from REF] [OPTIONS] DIR\n"
		    "mount [OPTIONS] oci://REF DIR\n"
		    "umount [--lazy] DIR\n"
		    "status|images|blobs|waits [--json]\n"
		    "prefetch [--trace FILE] DIR [PATH...]\n"
		    "complete [--wait] DIR\n"
		    "trace record|show DIR\n"
		    "gc|verify [--json]\n"
		    "stop [--umount|--complete|--keep]\n"
		    "doors [--json]\n"
		    "config [--config FILE]",
	.purpose = "images load on demand from a registry, and never lie",
	.description =
		"Makes EROFS images that still lie in a registry readable now, "
		"through the kernel's own\nEROFS; what is read is fetched, "
		"verified and kept.",
	.options = options,
	.n_options = sizeof(options) / sizeof(options[0]),
	.sections = sections,
	.exits = exits,
	.see_also = "erofs-tarfs(8), mkfs.erofs(8), mount(8)",
	.usage_status = EKD_USAGE,
};
