/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_CONFIG_SCAN_H
#define EKD_CONFIG_SCAN_H

/*
 * What json-c does not tell about a document that it took: where its keys
 * stand, and which occur twice.
 */

#include <stddef.h>

/*
 * Line (from 1) of the key at @path ("fetch.mirrors"; elements of arrays are
 * "list[2].key"); 0 when it is not found.
 */
unsigned ekd_scan_line(const char *text, size_t n, const char *path);

/*
 * The first key that an object has twice: its path in @path and its line; 0
 * when there is none, or in an object of more keys than fit the search.
 */
unsigned ekd_scan_twice(const char *text, size_t n, char path[128]);

/* Line of the first text in single quotes, which are not JSON; or 0. */
unsigned ekd_scan_quote(const char *text, size_t n);

#endif
