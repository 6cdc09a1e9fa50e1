/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EROFSKIT_STATUS_H
#define EROFSKIT_STATUS_H

/**
 * @file status.h
 * How every call of liberofskit reports failure.
 *
 * A status is not a value: results go through out-parameters. Any thread may
 * use these calls, each with its own struct ek_err.
 */

#ifdef __cplusplus
extern "C" {
#endif

/** What went wrong, by what the user can do about it. */
typedef enum ek_status {
	EK_OK = 0,
	/** A system call failed: see ek_err.sys. Check the path, the disk. */
	EK_IO = -1,
	/** The bytes break a rule of their format. The input is damaged. */
	EK_CORRUPT = -2,
	/** The bytes use a feature or codec that this build does not know. */
	EK_UNSUPPORTED = -3,
	/** The caller's argument or option is wrong. */
	EK_INVALID = -4,
	/** Memory could not be had. */
	EK_NOMEM = -5,
	/** The name, attribute or number does not exist. */
	EK_NOTFOUND = -6,
	/** A named limit was crossed. The text says which one. */
	EK_LIMIT = -7,
	/** The caller asked to stop. */
	EK_CANCELLED = -8,
	/** A source changed while it was read. Run again on a quiet tree. */
	EK_CHANGED = -9,
	/** The target exists already. */
	EK_EXISTS = -10,
	/** Two things that had to be equal are not. */
	EK_DIFFERS = -11,
} ek_status;

/** Bytes of text in an error, with its NUL. */
#define EK_ERR_TEXT 1024

/**
 * One failure, in the caller's memory: nothing to free.
 * Undefined until a call that was given it has failed.
 */
struct ek_err {
	ek_status status;
	/** errno of the failing system call, or 0. */
	int sys;
	/** One line for people, without a newline, NUL-terminated. */
	char text[EK_ERR_TEXT];
};

/**
 * Fill @p err (NULL allowed) and return @p status, so that a function can
 * `return ek_fail(...)`. Text beyond EK_ERR_TEXT - 1 bytes is cut.
 */
ek_status ek_fail(struct ek_err *err, ek_status status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/**
 * As ek_fail() with EK_IO (EK_NOMEM for ENOMEM, EK_NOTFOUND for ENOENT), for
 * the system error number @p sys; ": " and its description are appended.
 */
ek_status ek_fail_sys(struct ek_err *err, int sys, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/** Put "<words>: " before the text of @p err; returns err's status. */
ek_status ek_err_prefix(struct ek_err *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/** Short constant name of @p status, e.g. "corrupt"; never NULL. */
const char *ek_status_name(ek_status status);

#ifdef __cplusplus
}
#endif

#endif
