/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_EXTRACT_H
#define UNIT_EXTRACT_H

#include "../unit.h"

extern const struct CMUnitTest pax_tests[];
extern const struct CMUnitTest place_tests[];

#endif
