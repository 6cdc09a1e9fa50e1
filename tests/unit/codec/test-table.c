/* SPDX-License-Identifier: Apache-2.0 */
#include "data.h"
#include "unit.h"

static void encoders_by_name(void **state)
{
	size_t n;
	const struct ek_codec_info *list = ek_codec_list(&n);

	(void)state;
	assert_true(n >= 2);
	for (size_t i = 0; i < n; i++) {
		assert_ptr_equal(ek_codec_find(list[i].name), &list[i]);
		assert_non_null(list[i].version());
		assert_true(list[i].version()[0] >= '0');
		assert_true(list[i].algorithm < EK_CODEC_COUNT);
	}
	assert_null(ek_codec_find(""));
	assert_null(ek_codec_find("lz"));
	assert_null(ek_codec_find("lz4 "));
}

static void parameters_have_ranges(void **state)
{
	const struct ek_codec_info *lz4 = ek_codec_find("lz4");
	const struct ek_codec_info *hc = ek_codec_find("lz4hc");
	struct ek_encoder_params params = {.max_out = 4096};
	struct ek_encoder *enc;
	struct ek_err err;

	(void)state;
	for (params.level = 0; params.level <= 12; params.level++) {
		assert_int_equal(ek_encoder_new(hc, &params, &enc, &err),
				 EK_OK);
		ek_encoder_free(enc);
	}
	assert_int_equal(ek_encoder_new(hc, &params, &enc, &err), EK_INVALID);
	assert_null(enc);
	assert_string_equal(err.text, "lz4hc: level 13 is not within 0 to 12");
	params.level = -1;
	assert_int_equal(ek_encoder_new(hc, &params, &enc, &err), EK_INVALID);
	params.level = 0;
	params.dict_size = 1;
	assert_int_equal(ek_encoder_new(lz4, &params, &enc, &err), EK_INVALID);
	params.dict_size = 0;
	params.max_out = 0;
	assert_int_equal(ek_encoder_new(lz4, &params, &enc, &err), EK_INVALID);
	ek_encoder_free(NULL);
}

static ek_status try_decoder(int algorithm, uint32_t dict, uint8_t window)
{
	struct ek_decoder_params params = {dict, window};
	struct ek_decoder *dec;
	struct ek_err err;
	ek_status status = ek_decoder_new((enum ek_algorithm)algorithm, &params,
					  &dec, &err);

	assert_true((status == EK_OK) == (dec != NULL));
	ek_decoder_free(dec);
	return status;
}

static void decoders_have_ranges(void **state)
{
	(void)state;
	assert_int_equal(try_decoder(EK_CODEC_LZ4, 0, 0), EK_OK);
	assert_int_equal(try_decoder(EK_CODEC_DEFLATE, 0, 0), EK_OK);
	assert_int_equal(try_decoder(EK_CODEC_LZMA, 4095, 0), EK_INVALID);
	assert_int_equal(try_decoder(EK_CODEC_LZMA, 4096, 0), EK_OK);
	assert_int_equal(try_decoder(EK_CODEC_LZMA, 8 << 20, 0), EK_OK);
	assert_int_equal(try_decoder(EK_CODEC_LZMA, (8 << 20) + 1, 0),
			 EK_INVALID);
	assert_int_equal(try_decoder(EK_CODEC_ZSTD, 0, 9), EK_INVALID);
	assert_int_equal(try_decoder(EK_CODEC_ZSTD, 0, 10), EK_OK);
	assert_int_equal(try_decoder(EK_CODEC_ZSTD, 0, 20), EK_OK);
	assert_int_equal(try_decoder(EK_CODEC_ZSTD, 0, 21), EK_INVALID);
	assert_int_equal(try_decoder(EK_CODEC_COUNT, 4096, 20), EK_UNSUPPORTED);
	assert_int_equal(try_decoder(-1, 4096, 20), EK_UNSUPPORTED);
}

static void padding(void **state)
{
	uint8_t b[16] = {0};
	size_t skip = 99;

	(void)state;
	b[5] = 1;
	assert_int_equal(ek_skip_padding(b, 16, 16, &skip, NULL), EK_OK);
	assert_int_equal(skip, 5);
	assert_int_equal(ek_skip_padding(b, 16, 6, &skip, NULL), EK_OK);
	assert_int_equal(ek_skip_padding(b, 16, 5, &skip, NULL), EK_CORRUPT);
	assert_int_equal(ek_skip_padding(b, 5, 16, &skip, NULL), EK_CORRUPT);
	assert_int_equal(ek_skip_padding(b, 0, 16, &skip, NULL), EK_CORRUPT);
	b[0] = 1;
	assert_int_equal(ek_skip_padding(b, 16, 16, &skip, NULL), EK_OK);
	assert_int_equal(skip, 0);
}

extern const struct CMUnitTest table_tests[];
const struct CMUnitTest table_tests[] = {
	cmocka_unit_test(encoders_by_name),
	cmocka_unit_test(parameters_have_ranges),
	cmocka_unit_test(decoders_have_ranges),
	cmocka_unit_test(padding),
	UNIT_END,
};
