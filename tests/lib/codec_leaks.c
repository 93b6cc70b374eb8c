// SPDX-License-Identifier: MIT
/*
 * For tests that run GStreamer's codecs: what the libraries keep until the process ends is not our leak. The slow unwinder
 * is needed to tell by the whole stack whose an allocation is.
 */
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define CHECKS_LEAKS
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define CHECKS_LEAKS
#endif

#ifdef CHECKS_LEAKS
const char *__asan_default_options(void);
const char *__lsan_default_suppressions(void);

const char *__asan_default_options(void)
{
	return "fast_unwind_on_malloc=0";
}

const char *__lsan_default_suppressions(void)
{
	/* x265 and its plug-in, and mpeg2enc, lose some for each encoder; GLib keeps what its constructor made. */
	return "leak:x265\nleak:call_init\nleak:libmjpegutils\nleak:libmpeg2encpp\n";
}
#else
typedef int codec_leaks_are_not_checked;
#endif
