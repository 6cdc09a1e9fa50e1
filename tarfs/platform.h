/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TARFS_PLATFORM_H
#define TARFS_PLATFORM_H

#include "tarfs/json.h"

/* In the words of OCI: linux/amd64, linux/arm/v7. "" is not known. */
struct platform {
	char os[32], arch[32], variant[32];
};

#define PLATFORM_TEXT 100

/* OS/ARCH[/VARIANT] */
ek_status platform_parse(const char *text, struct platform *p,
			 struct ek_err *err);
/* linux and what uname(2) says of the machine. */
void platform_host(struct platform *p);
void platform_text(const struct platform *p, char text[PLATFORM_TEXT]);

/* From the members os, architecture and variant of @object. */
ek_status platform_json(struct json_object *object, const char *what,
			struct platform *p, struct ek_err *err);

/*
 * Whether @have will do for @want. A variant counts when it is wanted; what is
 * not known will do.
 */
bool platform_fits(const struct platform *want, const struct platform *have);

#endif
