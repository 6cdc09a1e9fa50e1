/* SPDX-License-Identifier: Apache-2.0 */
#include "mkfs/input.h"

#include "cli/message.h"
#include "mkfs/stream.h"

#include <erofskit/image.h>
#include <erofskit/outfile.h>
#include <erofskit/stream.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

ek_status input_kind(const struct mkfs_options *o, enum input_kind *kind,
		     struct ek_err *err)
{
	struct stat st;

	*kind = INPUT_TAR;
	if (o->tar != TAR_NO)
		return EK_OK;
	*kind = INPUT_IMAGES;
	for (size_t i = 0; i < o->n_sources; i++) {
		const char *name = o->sources[i];

		if (stat(name, &st) < 0)
			return ek_fail_sys(err, errno, "%s", name);
		if (S_ISDIR(st.st_mode) && o->n_sources > 1)
			return ek_fail(err, EK_INVALID,
				       "%s: a directory can only be the one "
				       "source",
				       name);
		if (S_ISDIR(st.st_mode))
			*kind = INPUT_DIRECTORY;
		else if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
			return ek_fail(err, EK_INVALID,
				       "%s: neither a directory nor an image",
				       name);
	}
	return EK_OK;
}

static const char *tar_name(const struct mkfs_options *o)
{
	return o->n_sources ? o->sources[0] : "standard input";
}

/*
 * Open the tar. *@plain: it is a file, not compressed, and can be read at any
 * place.
 */
static ek_status open_tar(struct input *in, const struct mkfs_options *o,
			  bool *plain, struct ek_err *err)
{
	const char *name = tar_name(o);
	uint8_t head[EK_STREAM_MAGIC];
	struct stat st;
	off_t at = 0;
	size_t n;

	in->fd = o->n_sources ? open(name, O_RDONLY | O_CLOEXEC)
			      : fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	if (in->fd < 0 || fstat(in->fd, &st) < 0)
		return ek_fail_sys(err, errno, "%s", name);
	if (S_ISDIR(st.st_mode))
		return ek_fail(err, EK_INVALID,
			       "%s: a directory, where --tar wants an archive",
			       name);
	if (isatty(in->fd))
		return ek_fail(err, EK_INVALID, "%s is a terminal", name);
	*plain = S_ISREG(st.st_mode) || S_ISBLK(st.st_mode);
	if (!*plain)
		return EK_OK;
	/* The caller of a shell may have read some of its input already. */
	at = lseek(in->fd, 0, SEEK_CUR);
	if (at < 0)
		return ek_fail_sys(err, errno, "%s", name);
	CLI_TRY(ek_source_from_fd(in->fd, name, (uint64_t)at, &in->file, err));
	n = in->file->size < sizeof(head) ? (size_t)in->file->size
					  : sizeof(head);
	CLI_TRY(ek_source_read(in->file, 0, head, n, err));
	*plain = ek_stream_detect(head, n) == EK_STREAM_PLAIN;
	return EK_OK;
}

/* Put a decoder over the descriptor, if it needs one. */
static ek_status open_stream(struct input *in, const struct mkfs_options *o,
			     struct ek_err *err)
{
	struct ek_tar_input *raw;
	enum ek_stream_kind kind;
	ek_status s;

	ek_source_free(in->file);
	in->file = NULL;
	CLI_TRY(stream_input(in->fd, tar_name(o), o->build.cancel, &raw, err));
	s = ek_stream_auto(raw, tar_name(o), &in->in, &kind, err);
	if (s != EK_OK) {
		ek_tar_input_free(raw);
		return s;
	}
	cli_message(o->level, CLI_INFO, "%s: %s", tar_name(o),
		    ek_stream_name(kind));
	return EK_OK;
}

/* Save the stream; from then on the saved file is the source. */
static ek_status save_raw(struct input *in, const struct mkfs_options *o,
			  const struct outputs *out, struct ek_err *err)
{
	int fd = ek_outfile_fd(out->file[OUT_RAW]);

	CLI_TRY(stream_copy(in->in, fd, o->raw, err));
	ek_tar_input_free(in->in);
	in->in = NULL;
	return ek_source_from_fd(fd, o->raw, 0, &in->file, err);
}

static void tell_notes(struct mkfs_options *o, const struct ek_layer_notes *n)
{
	const char *name = tar_name(o);

	if (n->unknown_members)
		cli_message(o->level, CLI_WARNING,
			    "%s: %" PRIu64 " members of an unknown type are "
			    "left out",
			    name, n->unknown_members);
	if (n->dropped_acls)
		cli_message(o->level, CLI_WARNING,
			    "%s: %" PRIu64 " ACL entries have names without "
			    "numbers and are left out",
			    name, n->dropped_acls);
	if (n->dropped_xattrs)
		cli_message(o->level, CLI_WARNING,
			    "%s: %" PRIu64 " attributes are left out whose "
			    "names Linux does not have",
			    name, n->dropped_xattrs);
	if (n->trailing_bytes)
		cli_message(o->level, CLI_WARNING,
			    "%s: bytes after the end of the archive are "
			    "ignored",
			    name);
	if (!n->label[0] || o->build.label)
		return;
	memcpy(o->label, n->label, sizeof(o->label) - 1);
	o->build.label = o->label;
	if (strlen(n->label) >= sizeof(o->label))
		cli_message(o->level, CLI_WARNING,
			    "%s: the label '%s' is cut to %zu bytes", name,
			    n->label, sizeof(o->label) - 1);
}

static ek_status read_tar(struct input *in, struct mkfs_options *o,
			  const struct outputs *out, struct ek_err *err)
{
	struct ek_layer_options lo = {
		.size = sizeof(lo),
		.aufs = o->aufs,
		.strip_overlay = o->strip_overlay,
		.headers_only = o->tar == TAR_HEADERS,
		.no_xattrs = o->build.xattr_share < 0,
		.cancel = o->build.cancel,
	};
	struct ek_layer_notes notes;

	if (in->file) {
		CLI_TRY(ek_tar_input_from_source(in->file, &in->in, err));
		/* The kernel sees all of the file as device. */
		lo.device_bytes = in->file->size;
	} else if (o->tar == TAR_FULL && !o->build.no_data) {
		CLI_TRY(outputs_spool(out, o, &in->spool, err));
		lo.spool = true;
		lo.spool_fd = in->spool;
	}
	CLI_TRY(ek_layer_from_tar(in->in, in->file, tar_name(o), &lo,
				  &in->layer, &notes, err));
	tell_notes(o, &notes);
	return EK_OK;
}

static ek_status input_tar(struct input *in, struct mkfs_options *o,
			   const struct outputs *out, struct ek_err *err)
{
	bool plain = false;

	CLI_TRY(open_tar(in, o, &plain, err));
	if (!plain || o->raw)
		CLI_TRY(open_stream(in, o, err));
	if (o->raw)
		CLI_TRY(save_raw(in, o, out, err));
	return read_tar(in, o, out, err);
}

/* Who gives one file that is no image may have meant an archive. */
static ek_status hint(struct ek_err *err)
{
	static const char words[] = " (a tar archive needs --tar)";

	if (strlen(err->text) + sizeof(words) <= sizeof(err->text))
		memcpy(err->text + strlen(err->text), words, sizeof(words));
	return err->status;
}

/* How many devices the image in file @path names. */
static ek_status count_devices(const char *path, size_t *n, struct ek_err *err)
{
	const struct ek_image_options io = {.size = sizeof(io)};
	struct ek_image *image = NULL;
	struct ek_source *src;
	ek_status s;

	CLI_TRY(ek_source_open_file(path, 0, &src, err));
	s = ek_image_open(src, &io, &image, err);
	if (s == EK_OK)
		*n = ek_image_info(image)->n_devices;
	else
		ek_err_prefix(err, "%s", path);
	ek_image_free(image);
	ek_source_free(src);
	return s;
}

/* Each image with as many of the devices as it names. */
static ek_status open_layers(struct ek_layer **layers,
			     const struct mkfs_options *o, struct ek_err *err)
{
	size_t used = 0, n = 0;

	for (size_t i = 0; i < o->n_sources; i++) {
		if (o->n_devices)
			CLI_TRY(count_devices(o->sources[i], &n, err));
		if (n > o->n_devices - used)
			return ek_fail(err, EK_INVALID,
				       "%s: names %zu devices, of which %zu "
				       "were given",
				       o->sources[i], n, o->n_devices - used);
		if (ek_layer_from_image(o->sources[i], o->devices + used, n,
					&layers[i], err) != EK_OK)
			return o->n_sources == 1 ? hint(err) : err->status;
		used += n;
	}
	if (used < o->n_devices)
		return ek_fail(err, EK_INVALID,
			       "%s: no source names it as its device",
			       o->devices[used]);
	return EK_OK;
}

static ek_status input_images(struct input *in, struct mkfs_options *o,
			      struct ek_err *err)
{
	struct ek_layer *layers[EK_LAYERS_MAX] = {NULL};
	ek_status s;

	if (o->n_sources > EK_LAYERS_MAX)
		return ek_fail(err, EK_LIMIT, "%zu sources: %u at most",
			       o->n_sources, EK_LAYERS_MAX);
	o->build.index = o->clean == CLEAN_DEFAULT;
	if (o->build.index && o->build.chunk_size)
		return ek_fail(err, EK_INVALID,
			       "--chunksize: the data of images stays where it "
			       "is without --clean=data");
	s = open_layers(layers, o, err);
	if (s == EK_OK)
		s = ek_layer_merge(layers, o->n_sources, o->strip_overlay,
				   o->build.cancel, &in->layer, err);
	for (size_t i = 0; s != EK_OK && i < o->n_sources; i++)
		ek_layer_free(layers[i]);
	return s;
}

ek_status input_open(struct input *in, enum input_kind kind,
		     struct mkfs_options *o, const struct outputs *out,
		     struct ek_err *err)
{
	ek_status s;

	*in = (struct input){.fd = -1, .spool = -1};
	s = kind == INPUT_TAR ? input_tar(in, o, out, err)
			      : input_images(in, o, err);
	if (s != EK_OK)
		input_close(in);
	return s;
}

void input_close(struct input *in)
{
	ek_layer_free(in->layer);
	ek_tar_input_free(in->in);
	ek_source_free(in->file);
	if (in->fd >= 0)
		close(in->fd);
	if (in->spool >= 0)
		close(in->spool);
}
