/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "cachefilesd/config/config.h"

#include <stdio.h>
#include <unistd.h>

extern const struct CMUnitTest config_tests[];

static void defaults(void **state)
{
	struct ekd_config c;
	struct ek_err err;
	size_t n;

	(void)state;
	assert_int_equal(ekd_config_parse("", 0, &c, &err), EK_OK);
	assert_string_equal(c.state_dir, "/var/lib/erofskit");
	assert_string_equal(c.run_dir, "/run/erofskit");
	assert_int_equal(c.uid, 65534);
	assert_int_equal(c.deadline_ms, 30000);
	assert_int_equal(c.worker_memory, 512 << 20);
	assert_int_equal(c.quota, 0);
	assert_int_equal(c.untrusted, EKD_UNTRUSTED_REFUSE);
	assert_string_equal(c.local_roots[0], "/");
	assert_null(c.local_roots[1]);
	assert_null(c.plain_http[0]);
	assert_null(c.mirrors[0]);
	assert_false(c.log_json);
	assert_string_equal(ekd_config_text(&c, &n), "{}");
	ekd_config_release(&c);
}

static void all_keys(void **state)
{
	static const char text[] =
		"{\"state_dir\": \"/s\", \"run_dir\": \"/r\",\n"
		"\"user\": \"12:34\", \"threads\": 7, \"deadline\": \"2m\",\n"
		"\"local_roots\": [\"/a\", \"/b\"], \"mount_roots\": [],\n"
		"\"worker_memory_max\": \"1G\",\n"
		"\"allow_suid\": true, \"untrusted_index\": \"stream-first\",\n"
		"\"cache\": {\"quota\": \"2G\", \"checkpoint_bytes\": "
		"1048576,\n"
		"  \"checkpoint_time\": \"500ms\"},\n"
		"\"fetch\": {\"connections\": 3, \"tries\": 9,\n"
		"  \"connect_timeout\": \"1s\", \"stall_timeout\": \"2s\",\n"
		"  \"request_size\": \"1M\", \"readahead_size\": 0,\n"
		"  \"memory\": \"8M\", \"plain_http\": [\"h:1\"],\n"
		"  \"mirrors\": [\"https://m/\"], \"proxy\": \"http://p:2\",\n"
		"  \"ca_file\": \"/ca\", \"client_cert\": \"/c\",\n"
		"  \"client_key\": \"/k\", \"docker_config\": \"/d\"},\n"
		"\"background\": {\"rate\": \"10M\"},\n"
		"\"log\": {\"level\": \"debug\", \"format\": \"json\"}}\n";
	struct ekd_config c;
	struct ek_err err;

	(void)state;
	assert_int_equal(ekd_config_parse(text, sizeof(text) - 1, &c, &err),
			 EK_OK);
	assert_string_equal(c.state_dir, "/s");
	assert_string_equal(c.run_dir, "/r");
	assert_int_equal(c.uid, 12);
	assert_int_equal(c.gid, 34);
	assert_int_equal(c.threads, 7);
	assert_int_equal(c.deadline_ms, 120000);
	assert_int_equal(c.worker_memory, 1 << 30);
	assert_string_equal(c.local_roots[1], "/b");
	assert_null(c.local_roots[2]);
	assert_null(c.mount_roots[0]);
	assert_true(c.allow_suid);
	assert_int_equal(c.untrusted, EKD_UNTRUSTED_STREAM);
	assert_int_equal(c.quota, UINT64_C(2) << 30);
	assert_int_equal(c.checkpoint_bytes, 1 << 20);
	assert_int_equal(c.checkpoint_ms, 500);
	assert_int_equal(c.connections, 3);
	assert_int_equal(c.tries, 9);
	assert_int_equal(c.connect_ms, 1000);
	assert_int_equal(c.stall_ms, 2000);
	assert_int_equal(c.request_bytes, 1 << 20);
	assert_int_equal(c.ahead_bytes, 0);
	assert_int_equal(c.memory_bytes, 8 << 20);
	assert_string_equal(c.plain_http[0], "h:1");
	assert_string_equal(c.mirrors[0], "https://m/");
	assert_string_equal(c.proxy, "http://p:2");
	assert_string_equal(c.ca_file, "/ca");
	assert_string_equal(c.client_cert, "/c");
	assert_string_equal(c.client_key, "/k");
	assert_string_equal(c.docker_config, "/d");
	assert_int_equal(c.complete_rate, 10 << 20);
	assert_int_equal(c.log_level, EKD_LOG_DEBUG);
	assert_true(c.log_json);
	ekd_config_release(&c);
}

static void wrong(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"{\n\"cache\": {\n\"qouta\": 1}}",
		 "line 3: cache.qouta: no such key"},
		{"{\n\n\"colour\": 1}", "line 3: colour: no such key"},
		{"{\"deadline\": 5}", "line 1: deadline: not a time"},
		{"{\"deadline\": \"5\"}", "line 1: deadline: not a time"},
		{"{\"deadline\": \"5 s\"}", "not a time"},
		{"{\"deadline\": \"1ms\"}", "line 1: deadline: not from 100"},
		{"{\"deadline\": \"99999999999999999999s\"}", "not a time"},
		{"{\"worker_memory_max\": \"63M\"}", "neither 0 nor"},
		{"{\"threads\": 0}", "threads: not from 1 to 16"},
		{"{\"threads\": \"4\"}", "threads: not a whole number"},
		{"{\"threads\": 1.5}", "threads: not a whole number"},
		{"{\"threads\": -1}", "threads: not a whole number"},
		{"{\"cache\": {\"quota\": \"1X\"}}", "not a size"},
		{"{\"cache\": {\"quota\": 7}}", "neither 0 nor 1M"},
		{"{\"fetch\": {\"memory\": \"4M\"}}", "memory: not from"},
		{"{\"fetch\": {\"mirrors\": [\"0\", \"1\", \"2\", \"3\", "
		 "\"4\", \"5\", \"6\", \"7\", \"8\", \"9\", \"10\", \"11\", "
		 "\"12\", \"13\", \"14\", \"15\", \"16\"]}}",
		 "mirrors: "},
		{"{\"a\": [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]}", "not JSON"},
		{"{\"cache\": []}", "line 1: cache: not an object"},
		{"{\"user\": \"root\"}", "user: not UID:GID"},
		{"{\"user\": \"0:0\"}", "may not be root"},
		{"{\"user\": \"1:2x\"}", "not UID:GID"},
		{"{\"user\": \"1:99999999999\"}", "not UID:GID"},
		{"{\"state_dir\": \"here\"}", "not an absolute path"},
		{"{\"local_roots\": [\"x\"]}", "no absolute path"},
		{"{\"local_roots\": \"/\"}", "not a list"},
		{"{\"local_roots\": [1]}", "element 0 is not a text"},
		{"{\"untrusted_index\": \"yes\"}", "'yes' is none of refuse"},
		{"{\"fetch\": {\"client_key\": \"/k\"}}", "one of a pair"},
		{"{\"log\": {\"level\": \"loud\"}}", "none of error"},
		{"{\"allow_suid\": 1}", "neither true nor false"},
		{"{\"threads\": 1, \"log\": {},\n\"threads\": 2}",
		 "line 2: threads is there twice"},
		{"{\"state_dir\": \"/a\\u0000b\"}", "not a text"},
		{"[]", "not a JSON object"},
		{"{", "line 1: not JSON: it is cut"},
		{"{}\n{}", "line 2: something behind"},
		{"{'a': 1}", "not JSON"},
		{"{\"a\": \"\xff\"}", "not JSON"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct ekd_config c;
		struct ek_err err;
		ek_status s = ekd_config_parse(cases[i].text,
					       strlen(cases[i].text), &c, &err);

		if (s == EK_OK || !strstr(err.text, cases[i].says))
			fail_msg("%s: %s", cases[i].text,
				 s == EK_OK ? "was taken" : err.text);
		assert_null(c.own);
	}
}

static void too_long(void **state)
{
	size_t n = EKD_CONFIG_MAX + 1;
	char *text = malloc(n);
	struct ekd_config c;
	struct ek_err err;

	(void)state;
	assert_non_null(text);
	memset(text, ' ', n);
	text[0] = '{';
	text[n - 1] = '}';
	assert_int_equal(ekd_config_parse(text, n, &c, &err), EK_LIMIT);
	assert_int_equal(ekd_config_parse(text + 1, n - 1, &c, &err),
			 EK_CORRUPT);
	free(text);
}

static void fits(void **state)
{
	static const char *const holder[] = {
		"{\"state_dir\": \"/x\"}",
		"{\"run_dir\": \"/x\"}",
		"{\"user\": \"1:1\"}",
		"{\"allow_suid\": true}",
		"{\"local_roots\": [\"/x\"]}",
		"{\"mount_roots\": []}",
		"{\"local_roots\": [\"/\", \"/x\"]}",
		"{\"deadline\": \"1s\"}",
		"{\"fetch\": {\"docker_config\": \"/x\"}}",
	};
	static const char worker[] = "{\"threads\": 2, \"log\": "
				     "{\"level\": \"error\"}}";
	struct ekd_config then, now;
	struct ek_err err;
	const char *key;

	(void)state;
	assert_int_equal(ekd_config_parse("", 0, &then, &err), EK_OK);
	assert_true(ekd_config_fits(&then, &then, &key));
	assert_int_equal(ekd_config_parse(worker, strlen(worker), &now, &err),
			 EK_OK);
	assert_true(ekd_config_fits(&then, &now, &key));
	ekd_config_release(&now);
	for (size_t i = 0; i < sizeof(holder) / sizeof(*holder); i++) {
		assert_int_equal(ekd_config_parse(holder[i], strlen(holder[i]),
						  &now, &err),
				 EK_OK);
		assert_false(ekd_config_fits(&then, &now, &key));
		assert_non_null(strstr(holder[i], key));
		ekd_config_release(&now);
	}
	ekd_config_release(&then);
}

static void files(void **state)
{
	char path[] = "/tmp/ekd-config-XXXXXX";
	int fd = mkstemp(path);
	struct ekd_config c;
	struct ek_err err;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ekd_config_read(path, &c, &err), EK_CORRUPT);
	assert_non_null(strstr(err.text, path));
	assert_int_equal(write(fd, "{\"threads\": 2}", 14), 14);
	assert_int_equal(ekd_config_read(path, &c, &err), EK_OK);
	assert_int_equal(c.threads, 2);
	ekd_config_release(&c);
	close(fd);
	unlink(path);
	assert_int_equal(ekd_config_read(path, &c, &err), EK_NOTFOUND);
	assert_non_null(strstr(err.text, path));
}

const struct CMUnitTest config_tests[] = {
	cmocka_unit_test(defaults),
	cmocka_unit_test(all_keys),
	cmocka_unit_test(wrong),
	cmocka_unit_test(too_long),
	cmocka_unit_test(fits),
	cmocka_unit_test(files),
	UNIT_END,
};
