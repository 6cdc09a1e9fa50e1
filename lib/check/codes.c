/* SPDX-License-Identifier: Apache-2.0 */
#include "check/codes.h"

static const struct ek_check_code table[CK_CODE_COUNT + 1] = {
#define CK_ROW(id, text, severity, strict, meaning)                            \
	{text, EK_SEVERITY_##severity, strict, meaning},
	CK_CODES(CK_ROW)
#undef CK_ROW
};

const struct ek_check_code *ek_check_code(size_t i)
{
	return i < CK_CODE_COUNT ? &table[i] : NULL;
}

const char *ek_severity_name(enum ek_severity severity)
{
	switch (severity) {
	case EK_SEVERITY_WARNING:
		return "warning";
	case EK_SEVERITY_ERROR:
		return "error";
	case EK_SEVERITY_UNCHECKED:
		return "unchecked";
	}
	return "unknown";
}
