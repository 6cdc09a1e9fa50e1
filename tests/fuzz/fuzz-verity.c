/* SPDX-License-Identifier: Apache-2.0 */
#include <erofskit/trust.h>

#include <stdlib.h>
#include <string.h>

/*
 * The first half of the input is data, the second a tree with its superblock.
 * A root that the tree itself states is wrong or right, never a crash; one
 * made of the data with these parameters must verify.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(struct ek_source *src, struct ek_source *tree)
{
	struct ek_verity_run one = {.size = sizeof(one), .workers = 1};
	struct ek_verity_params params;
	uint8_t root[EK_DIGEST_SIZE] = {0};
	struct ek_err err;
	ek_status status;

	if (ek_verity_superblock(tree, &params, &err) != EK_OK)
		return;
	ek_verity_tree_size(&params, src->size);
	ek_verity_verify(src, &params, tree, root, &one, &err);
	/* As much as is there, whatever the superblock says. */
	params.data_blocks = src->size / params.data_block_size;
	status = ek_verity_format(src, &params, -1, "", 0, &one, root, &err);
	if (status != EK_OK)
		return;
	ek_verity_verify(src, &params, tree, root, &one, &err);
	if (ek_verity_verify(src, &params, NULL, root, &one, &err) != EK_OK)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ek_source *src = NULL, *tree = NULL;
	size_t half = size / 2;

	if (ek_source_from_memory(data, half, &src, NULL) == EK_OK &&
	    ek_source_from_memory(data + half, size - half, &tree, NULL) ==
		    EK_OK)
		run(src, tree);
	ek_source_free(src);
	ek_source_free(tree);
	return 0;
}
