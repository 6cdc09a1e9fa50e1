/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DUMP_NIDSET_H
#define DUMP_NIDSET_H

/* A set of inode numbers, open addressing. Zero it to start. */

#include <erofskit/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nidset {
	uint64_t *slots; /* nid + 1; 0: free */
	size_t n, cap;
};

/* Put @nid in; *@fresh says whether it was not there. */
ek_status nidset_add(struct nidset *set, uint64_t nid, bool *fresh,
		     struct ek_err *err);
void nidset_free(struct nidset *set);

#endif
