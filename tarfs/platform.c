/* SPDX-License-Identifier: Apache-2.0 */
#include "tarfs/platform.h"

#include "cli/options.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

static const struct {
	const char *machine, *arch, *variant;
} machines[] = {
	{"x86_64", "amd64", ""},
	{"aarch64", "arm64", ""},
	{"armv7l", "arm", "v7"},
	{"armv6l", "arm", "v6"},
	{"i386", "386", ""},
	{"i686", "386", ""},
	{"ppc64le", "ppc64le", ""},
	{"s390x", "s390x", ""},
	{"riscv64", "riscv64", ""},
	{"mips64", "mips64le", ""},
	{"loongarch64", "loong64", ""},
};

static ek_status set(char *to, size_t room, const char *from, size_t n,
		     struct ek_err *err)
{
	if (n >= room)
		return ek_fail(err, EK_INVALID, "too long for a platform");
	memcpy(to, from, n);
	to[n] = 0;
	return EK_OK;
}

ek_status platform_parse(const char *text, struct platform *p,
			 struct ek_err *err)
{
	size_t os = strcspn(text, "/"), arch;
	const char *rest = text + os;

	*p = (struct platform){0};
	CLI_TRY(set(p->os, sizeof(p->os), text, os, err));
	rest += *rest == '/';
	arch = strcspn(rest, "/");
	CLI_TRY(set(p->arch, sizeof(p->arch), rest, arch, err));
	rest += arch;
	rest += *rest == '/';
	CLI_TRY(set(p->variant, sizeof(p->variant), rest, strlen(rest), err));
	if (!*p->os || !*p->arch || strchr(p->variant, '/'))
		return ek_fail(err, EK_INVALID,
			       "'%s' is not OS/ARCH or OS/ARCH/VARIANT", text);
	return EK_OK;
}

void platform_host(struct platform *p)
{
	struct utsname u;

	*p = (struct platform){.os = "linux"};
	if (uname(&u) < 0)
		return;
	snprintf(p->arch, sizeof(p->arch), "%.31s", u.machine);
	for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++)
		if (strcmp(u.machine, machines[i].machine) == 0) {
			snprintf(p->arch, sizeof(p->arch), "%s",
				 machines[i].arch);
			snprintf(p->variant, sizeof(p->variant), "%s",
				 machines[i].variant);
		}
}

void platform_text(const struct platform *p, char text[PLATFORM_TEXT])
{
	snprintf(text, PLATFORM_TEXT, "%s/%s%s%s", *p->os ? p->os : "?",
		 *p->arch ? p->arch : "?", *p->variant ? "/" : "", p->variant);
}

ek_status platform_json(struct json_object *object, const char *what,
			struct platform *p, struct ek_err *err)
{
	static const char *const keys[] = {"os", "architecture", "variant"};
	char *to[] = {p->os, p->arch, p->variant};

	*p = (struct platform){0};
	for (int i = 0; i < 3; i++) {
		const char *text;

		CLI_TRY(tarfs_json_text(object, keys[i], false, what, &text,
					err));
		if (text &&
		    set(to[i], sizeof(p->os), text, strlen(text), err) != EK_OK)
			return ek_err_prefix(err, "%s: %s", what, keys[i]);
	}
	return EK_OK;
}

bool platform_fits(const struct platform *want, const struct platform *have)
{
	return (!*have->os || strcmp(want->os, have->os) == 0) &&
	       (!*have->arch || strcmp(want->arch, have->arch) == 0) &&
	       (!*want->variant || !*have->variant ||
		strcmp(want->variant, have->variant) == 0);
}
