/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The holder's protocol: what is taken can be said again, byte for byte. With
 * the first byte's high bit the length field is set right first, so that
 * damage gets beyond it.
 */

#include "base/bytes.h"
#include "cachefilesd/holder/protocol.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ekd_message *message;
	uint8_t *copy, *back;
	size_t n;

	if (size < 1)
		return 0;
	copy = malloc(size);
	back = malloc(EKD_MESSAGE);
	message = malloc(sizeof(*message));
	if (copy && back && message) {
		memcpy(copy, data + 1, size - 1);
		if ((data[0] & 0x80) && size - 1 >= 16)
			ek_put_le32(copy + 12, (uint32_t)(size - 1));
		if (ekd_message_decode(copy, size - 1, message, NULL) ==
			    EK_OK &&
		    (ekd_message_encode(message, back, &n, NULL) != EK_OK ||
		     n != size - 1 || memcmp(back, copy, n) != 0))
			abort();
	}
	free(message);
	free(back);
	free(copy);
	return 0;
}
