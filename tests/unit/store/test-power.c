/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"
const struct CMUnitTest power_tests[] = {UNIT_END};
